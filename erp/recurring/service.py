"""Recurring orders: made, changed, paused, ended by hand."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET
from psycopg.types.json import Jsonb

from db.identifiers import new_id
from erp.inventory.facts import chosen_location, location_facts
from erp.kernel.errors import Invalid, InvalidState, NotFound
from erp.kernel.timetable import Timetable, timetable
from erp.parties.facts import customer_of, party_facts
from erp.pricing.facts import conversions, selling_facts
from erp.recurring.repository import (
    ADD_RECURRING_ORDER,
    CHANGING,
    LOCK_RECURRING_ORDER,
    RECURRING_ORDER,
    SET_RECURRING_ORDER,
    RecurringRow,
    Timed,
)
from erp.recurring.schemas import (
    CreateRecurringOrderInput,
    OrderTemplate,
    RecurringOrderView,
    UpdateRecurringOrderInput,
)
from erp.recurring.views import recurring_view
from erp.sales.drafting import price_loads
from erp.sales.templates import check_lines
from erp.scheduling.kinds import KINDS
from erp.scheduling.repository import LOCK_SCHEDULE, ScheduleRow
from erp.scheduling.schemas import ScheduleRunView
from erp.scheduling.service import change_schedule, new_schedule, run_schedule
from tenancy.trail import Event
from tenancy.work import UnitOfWork

_TIMING = ("cron", "time_zone", "missed")


async def create_recurring_order(work: UnitOfWork, data: CreateRecurringOrderInput) -> RecurringOrderView:
    """Raises what creating an order and a schedule raises, each with a pointer."""
    recurring_id = new_id()
    await _check_template(work, data.order)
    zone = data.time_zone or work.tenant.time_zone
    table = timetable(data.cron, zone)  # before `starts_on` is read in that zone
    schedule = new_schedule(
        work, KINDS["recurring_order"], name=f"Recurring order: {data.name}", cron=data.cron, time_zone=zone,
        missed=data.missed, enabled=True, parameters={"recurring_order_id": str(recurring_id)},
        starts=_starts(data.starts_on, table, work.now),
    )  # fmt: skip
    row = RecurringRow(
        id=recurring_id, version=1, name=data.name, state="active", party_id=data.order.party_id,
        schedule_id=schedule.id, template=msgspec.to_builtins(data.order), confirm=data.confirm,
        when_short=data.when_short, ends_on=data.ends_on, most_orders=data.most_orders, made=0,
        created_at=work.now,
    )  # fmt: skip
    work.save(ADD_RECURRING_ORDER(**{**row._asdict(), "template": Jsonb(row.template)}))
    tell(work, row, "created", after=facts(row))
    return recurring_view(_timed(row, schedule))


def _starts(day: date | None, table: Timetable, now: datetime) -> datetime | None:
    """The last second before `day` begins in the timetable's zone; None for a day that has begun.

    Raises Invalid for a day so far ahead that no moment comes any more: calendars end with the year 9999.
    """
    zone = ZoneInfo(table.zone_name)
    if day is None or day <= now.astimezone(zone).date():
        return None
    starts = datetime.combine(day, time.min, zone).astimezone(UTC) - timedelta(seconds=1)
    try:
        table.next(starts)
    except (OverflowError, StopIteration, ValueError):
        raise Invalid("No order comes on or after this day.", pointer="/starts_on") from None
    return starts


async def update_recurring_order(
    work: UnitOfWork, recurring_order_id: UUID, data: UpdateRecurringOrderInput
) -> RecurringOrderView:
    """Raises NotFound, VersionConflict, InvalidState (it has ended), Invalid and what creating one raises."""
    before, schedule = await locked(work, recurring_order_id)
    work.check_version(before.version)
    if before.state == "ended":
        raise InvalidState("The recurring order has ended.", state=before.state)
    sent = {name: value for name in data.__struct_fields__ if (value := getattr(data, name)) is not UNSET}
    if "order" in sent:
        template = sent.pop("order")
        await _check_template(work, template)
        sent |= {"template": msgspec.to_builtins(template), "party_id": template.party_id}
    if (most := sent.get("most_orders")) is not None and most <= before.made:
        raise Invalid(f"It has made {before.made} orders.", pointer="/most_orders", made=before.made)
    timing = {name: sent.pop(name) for name in _TIMING if name in sent}
    if "paused" in sent:
        paused = sent.pop("paused")
        sent["state"], timing["enabled"] = ("paused", False) if paused else ("active", True)
    if "name" in sent:
        timing["name"] = f"Recurring order: {sent['name']}"
    changed = change_schedule(work, schedule, **timing)
    after = save(work, before, **sent)
    return recurring_view(_timed(after, changed))


async def end_recurring_order(work: UnitOfWork, recurring_order_id: UUID) -> RecurringOrderView:
    """For good. Raises NotFound, VersionConflict, InvalidState."""
    before, schedule = await locked(work, recurring_order_id)
    work.check_version(before.version)
    if before.state == "ended":
        raise InvalidState("The recurring order has ended.", state=before.state)
    return recurring_view(_timed(*end(work, before, schedule)))


def end(work: UnitOfWork, before: RecurringRow, schedule: ScheduleRow) -> tuple[RecurringRow, ScheduleRow]:
    changed = change_schedule(work, schedule, enabled=False)
    return save(work, before, state="ended"), changed


async def run_recurring_order(work: UnitOfWork, recurring_order_id: UUID) -> ScheduleRunView:
    """An order now, beside its moments. Raises NotFound, InvalidState (it has ended)."""
    row, _ = await locked(work, recurring_order_id)
    if row.state == "ended":
        raise InvalidState("The recurring order has ended.", state=row.state)
    return await run_schedule(work, row.schedule_id)


async def locked(work: UnitOfWork, recurring_order_id: UUID) -> tuple[RecurringRow, ScheduleRow]:
    """Both, locked. Raises NotFound."""
    [found] = await work.load(LOCK_RECURRING_ORDER(recurring_order_id=recurring_order_id))
    if not found:
        raise NotFound(recurring_order_id=str(recurring_order_id))
    [schedules] = await work.load(LOCK_SCHEDULE(schedule_id=found[0].schedule_id))
    return found[0], schedules[0]


async def found_recurring_order(work: UnitOfWork, recurring_order_id: UUID) -> Timed:
    """As it is before anything is locked. Raises NotFound."""
    [found] = await work.peek(RECURRING_ORDER(recurring_order_id=recurring_order_id))
    if not found:
        raise NotFound(recurring_order_id=str(recurring_order_id))
    row: Timed = found[0]
    return row


def save(work: UnitOfWork, before: RecurringRow, **changes: Any) -> RecurringRow:
    """Queue the change of one that is locked, with its event and audit entry; itself when nothing changes."""
    after = before._replace(**changes)
    if after == before:
        return before
    after = after._replace(version=before.version + 1)
    values = {**after._asdict(), "template": Jsonb(after.template)}
    work.save(SET_RECURRING_ORDER(recurring_order_id=before.id, **{f"new_{name}": values[name] for name in CHANGING}))
    old, new = facts(before), facts(after)
    changed = [name for name in new if new[name] != old[name]]
    what = "ended" if after.state == "ended" else "updated"
    tell(work, after, what, before={name: old[name] for name in changed}, after={name: new[name] for name in changed})
    return after


def facts(row: RecurringRow) -> dict[str, Any]:
    return {
        "name": row.name, "state": row.state, "order": row.template, "confirm": row.confirm,
        "when_short": row.when_short, "ends_on": row.ends_on.isoformat() if row.ends_on else None,
        "most_orders": row.most_orders, "made": row.made,
    }  # fmt: skip


def tell(
    work: UnitOfWork, row: RecurringRow, what: str, *, before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    told = {"name": row.name, "state": row.state, "made": row.made}
    work.publish(Event("recurring_order", row.id, row.version, f"recurring_order.{what}", told))
    work.audit(f"recurring_order.{what}", "recurring_order", row.id, before=before, after=after)


def _timed(row: RecurringRow, schedule: ScheduleRow) -> Timed:
    return Timed(row, schedule.cron, schedule.time_zone, schedule.missed, schedule.next_at)


async def _check_template(work: UnitOfWork, template: OrderTemplate) -> None:
    """Whether an order could be made of it today. Raises what creating one raises, under /order."""
    products = sorted({line.product_id for line in template.lines})
    places, parties, found, ratios, *listed = await work.load(
        location_facts(template.location_id), party_facts(template.party_id), selling_facts(products, work.today),
        conversions(products), *price_loads(template.lines, template.party_id, work.today),
    )  # fmt: skip
    chosen_location(places, template.location_id, pointer="/order/location_id")
    customer_of(parties, template.party_id, pointer="/order/party_id")
    check_lines(work, template, found, ratios, *listed)
