"""The states of a purchase order and what may be done in each. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from erp.kernel.errors import InvalidState
from erp.purchasing.rows import LineRow, OrderRow

Step = Literal["confirm", "receive", "close", "cancel", "bill"]

#: step -> the states it is allowed in.
ALLOWED: Final[Mapping[Step, frozenset[str]]] = {
    "confirm": frozenset({"draft"}),
    "receive": frozenset({"confirmed", "partially_received"}),
    "close": frozenset({"partially_received"}),
    "cancel": frozenset({"draft", "confirmed"}),
    "bill": frozenset({"partially_received", "received"}),
}


def check_step(step: Step, order: OrderRow) -> None:
    """Raises InvalidState."""
    if order.state not in ALLOWED[step]:
        raise InvalidState(
            f"{order.number} is {order.state.replace('_', ' ')}.", state=order.state, allowed=sorted(ALLOWED[step])
        )


def state_of(lines: Sequence[LineRow]) -> str:
    """The state a confirmed order has by its lines: received when no more goods are to come, billed at the end."""
    if any(line.open for line in lines):
        return "partially_received" if any(line.received for line in lines) else "confirmed"
    return "received" if any(line.unbilled for line in lines) else "billed"
