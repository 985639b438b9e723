"""Statements of recurring orders."""

from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import DateTime, Text, Uuid, and_, bindparam, cast, select, update
from sqlalchemy.dialects.postgresql import insert

from db.statement import TENANT, Statement
from erp.recurring.models import recurring_order_runs, recurring_orders
from erp.scheduling.models import schedules


class RecurringRow(NamedTuple):
    id: UUID
    version: int
    name: str
    state: str
    party_id: UUID
    schedule_id: UUID
    template: dict[str, Any]
    confirm: bool
    when_short: str
    ends_on: date | None
    most_orders: int | None
    made: int
    created_at: datetime


class Timed(NamedTuple):
    """A recurring order with its schedule."""

    order: RecurringRow
    cron: str
    time_zone: str
    missed: str
    next_at: datetime | None


class RunRow(NamedTuple):
    id: UUID
    recurring_order_id: UUID
    slot: datetime
    outcome: str
    order_id: UUID | None
    code: str | None
    detail: str | None
    created_at: datetime


def timed(*values: Any) -> Timed:
    return Timed(RecurringRow(*values[: len(RecurringRow._fields)]), *values[len(RecurringRow._fields) :])


COLUMNS = tuple(recurring_orders.c[name] for name in RecurringRow._fields)
RUN_COLUMNS = tuple(recurring_order_runs.c[name] for name in RunRow._fields)
CHANGING = ("name", "state", "party_id", "template", "confirm", "when_short", "ends_on", "most_orders", "made")
_this = (recurring_orders.c.tenant_id == TENANT, recurring_orders.c.id == bindparam("recurring_order_id", type_=Uuid))
_schedule = and_(
    schedules.c.tenant_id == recurring_orders.c.tenant_id, schedules.c.id == recurring_orders.c.schedule_id
)
TIMED = (
    select(*COLUMNS, schedules.c.cron, schedules.c.time_zone, schedules.c.missed, schedules.c.next_at)
    .select_from(recurring_orders.join(schedules, _schedule))
    .where(recurring_orders.c.tenant_id == TENANT)
)  # fmt: skip
RECURRING_ORDER: Statement[Timed] = Statement(
    TIMED.where(recurring_orders.c.id == bindparam("recurring_order_id", type_=Uuid)), timed
)
LOCK_RECURRING_ORDER: Statement[RecurringRow] = Statement(
    select(*COLUMNS).where(*_this).with_for_update(), RecurringRow
)
ADD_RECURRING_ORDER = Statement(
    insert(recurring_orders).values(tenant_id=TENANT, **{name: bindparam(name) for name in RecurringRow._fields})
)
SET_RECURRING_ORDER = Statement(
    update(recurring_orders)
    .where(*_this)
    .values(version=recurring_orders.c.version + 1, **{name: bindparam(f"new_{name}") for name in CHANGING})
)
RUN_OF_SLOT: Statement[RunRow] = Statement(
    select(*RUN_COLUMNS).where(
        recurring_order_runs.c.tenant_id == TENANT,
        recurring_order_runs.c.recurring_order_id == bindparam("recurring_order_id", type_=Uuid),
        recurring_order_runs.c.slot == bindparam("slot", type_=DateTime(timezone=True)),
    ),
    RunRow,
)
#: No row: the slot has had its turn.
ADD_RUN: Statement[tuple[UUID]] = Statement(
    insert(recurring_order_runs)
    .values(
        tenant_id=TENANT, id=bindparam("id"), recurring_order_id=bindparam("recurring_order_id"),
        slot=bindparam("slot"), outcome=bindparam("outcome"), order_id=bindparam("order_id"),
        code=cast(bindparam("code"), Text), detail=cast(bindparam("detail"), Text),
    )
    .on_conflict_do_nothing(constraint="recurring_order_runs_slot_key")
    .returning(recurring_order_runs.c.id)
)  # fmt: skip
