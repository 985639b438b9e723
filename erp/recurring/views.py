"""Recurring orders as the API shows them."""

from erp.recurring.repository import RunRow, Timed
from erp.recurring.schemas import RecurringOrderRunView, RecurringOrderView


def recurring_view(found: Timed) -> RecurringOrderView:
    row = found.order
    return RecurringOrderView(
        id=row.id, version=row.version, name=row.name,
        state=row.state,  # type: ignore[arg-type]  # CHECKs keep state, missed and when_short to their literals
        order=row.template, schedule_id=row.schedule_id, cron=found.cron, time_zone=found.time_zone,
        missed=found.missed,  # type: ignore[arg-type]
        next_at=found.next_at, confirm=row.confirm,
        when_short=row.when_short,  # type: ignore[arg-type]
        ends_on=row.ends_on, most_orders=row.most_orders, made=row.made, created_at=row.created_at,
    )  # fmt: skip


def run_view(row: RunRow) -> RecurringOrderRunView:
    return RecurringOrderRunView(
        id=row.id, recurring_order_id=row.recurring_order_id, slot=row.slot,
        outcome=row.outcome,  # type: ignore[arg-type]  # a CHECK keeps it to the literals
        order_id=row.order_id, code=row.code, detail=row.detail, created_at=row.created_at,
    )  # fmt: skip
