"""What a tenant may have done by the clock: the allow-list. A further kind is one line of KINDS.

Each kind names the kind of job that does it; the job gets the parameters and the run's slot as its payload.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from db.errors import DomainError
from erp.http.body import BodyDecoder

Queue = Literal["high", "default", "low"]


class NoParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to say."""


class ReorderParameters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All warehouses unless one is named."""

    warehouse_id: UUID | None = None


class PreCloseParameters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The month so many months before the run's; 1: the month that has just ended."""

    months_back: Annotated[int, Meta(ge=0, le=12)] = 1


class RecurringOrderParameters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    recurring_order_id: UUID


@dataclass(frozen=True, slots=True)
class TaskKind:
    """`permission`: what whoever schedules it must hold. `own`: made and changed only by the record it belongs to."""

    name: str
    parameters: type[Struct]
    job: str
    permission: str
    queue: Queue = "low"
    own: bool = False

    def checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters as they are kept. Raises what a body's fields raise, with a pointer."""
        try:
            value = BodyDecoder(self.parameters).convert(dict(given))
        except DomainError as refusal:
            refusal.pointer = f"/parameters{refusal.pointer or ''}"
            raise
        kept: dict[str, Any] = msgspec.to_builtins(value)
        return kept


KINDS: Final[Mapping[str, TaskKind]] = {
    kind.name: kind
    for kind in (
        TaskKind("overdue_reminders", NoParameters, "overdue_invoices", "invoices:write"),
        TaskKind("reservation_expiry", NoParameters, "reservation_expiry", "reservations:write", "default"),
        TaskKind("reorder", ReorderParameters, "reorder_proposals", "purchase_orders:write"),
        TaskKind("period_pre_close", PreCloseParameters, "period_pre_close", "periods:write"),
        TaskKind("recurring_order", RecurringOrderParameters, "recurring_order", "sales_orders:write", own=True),
    )
}  # fmt: skip
#: Those that can be asked for by name.
OFFERED: Final = tuple(name for name, kind in KINDS.items() if not kind.own)
KindName = Literal["overdue_reminders", "reservation_expiry", "reorder", "period_pre_close"]
