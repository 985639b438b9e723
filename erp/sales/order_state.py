"""The life of a sales order: which step leads from which state to which.

    draft -> confirmed -> partially_delivered -> delivered
      \\________\\______________________________-> cancelled

How far it is invoiced and paid is derived from its invoices, not a state. Services need no delivery: they count
as delivered when the order is confirmed.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final, Literal, Protocol

from erp.kernel.errors import InvalidState
from erp.sales.schemas import OrderState

Action = Literal["edit", "confirm", "reserve", "deliver", "return", "invoice", "cancel"]

STATES: Final = ("draft", "confirmed", "partially_delivered", "delivered", "cancelled")
ACTIONS: Final[tuple[Action, ...]] = ("edit", "confirm", "reserve", "deliver", "return", "invoice", "cancel")

#: (state, action) -> the states it may lead to; a pair that is not here is refused.
TRANSITIONS: Final[Mapping[tuple[str, Action], frozenset[str]]] = {
    ("draft", "edit"): frozenset({"draft"}),
    ("draft", "confirm"): frozenset({"confirmed", "delivered"}),
    ("draft", "cancel"): frozenset({"cancelled"}),
    ("confirmed", "reserve"): frozenset({"confirmed"}),
    ("confirmed", "deliver"): frozenset({"partially_delivered", "delivered"}),
    ("confirmed", "invoice"): frozenset({"confirmed"}),
    ("confirmed", "cancel"): frozenset({"confirmed", "delivered", "cancelled"}),
    ("partially_delivered", "reserve"): frozenset({"partially_delivered"}),
    ("partially_delivered", "deliver"): frozenset({"partially_delivered", "delivered"}),
    ("partially_delivered", "return"): frozenset({"partially_delivered"}),
    ("partially_delivered", "invoice"): frozenset({"partially_delivered"}),
    ("partially_delivered", "cancel"): frozenset({"partially_delivered", "delivered"}),
    ("delivered", "return"): frozenset({"delivered"}),
    ("delivered", "invoice"): frozenset({"delivered"}),
    # What can still be cancelled of a delivered order are services nobody has invoiced.
    ("delivered", "cancel"): frozenset({"delivered", "cancelled"}),
}


_PAST: Final[Mapping[Action, str]] = {
    "edit": "changed", "confirm": "confirmed", "reserve": "reserved for", "deliver": "delivered",
    "return": "returned", "invoice": "invoiced", "cancel": "cancelled",
}  # fmt: skip


class Progress(Protocol):
    """A line, as far as the order's state depends on it."""

    @property
    def goods(self) -> bool: ...
    @property
    def wanted(self) -> Decimal: ...
    @property
    def open(self) -> Decimal: ...
    @property
    def delivered(self) -> Decimal: ...


def check(state: str, action: Action) -> None:
    """Raises InvalidState when the table has no such step."""
    if (state, action) not in TRANSITIONS:
        raise InvalidState(
            f"The order is {state.replace('_', ' ')}: it cannot be {_PAST[action]}.",
            state=state, action=action, allowed_in=[at for at, step in TRANSITIONS if step == action],
        )  # fmt: skip


def state_after(state: str, action: Action, lines: Iterable[Progress]) -> OrderState:
    """The state once `action` has changed the lines. Raises InvalidState."""
    check(state, action)
    reached = progress_of(lines)
    if reached not in TRANSITIONS[state, action]:
        raise InvalidState(f"`{action}` does not lead from {state} to {reached}.", state=state, action=action)
    return reached


def progress_of(lines: Iterable[Progress]) -> OrderState:
    """The state a confirmed order's lines amount to."""
    wanted = [line for line in lines if line.wanted]
    if not wanted:
        return "cancelled"
    if not any(line.open for line in wanted):
        return "delivered"
    if any(line.goods and line.delivered for line in wanted):
        return "partially_delivered"
    return "confirmed"
