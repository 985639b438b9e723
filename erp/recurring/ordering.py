"""One slot of a recurring order: its order, through the same command as the API's, or the reason there is none."""

from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from db.errors import DomainError
from db.identifiers import new_id
from erp.inventory.errors import InsufficientStock
from erp.jobs.notices import NewNotice, give_notice
from erp.recurring.errors import SlotSettled, TemplateChanged
from erp.recurring.repository import ADD_RUN, RUN_OF_SLOT, RecurringRow
from erp.recurring.schemas import OrderTemplate
from erp.recurring.service import end, found_recurring_order, locked, save
from erp.sales.schemas import CreateOrderInput
from erp.sales.service import create_order
from erp.scheduling.repository import ScheduleRow
from tenancy.work import UnitOfWork


async def place_recurring_order(
    work: UnitOfWork, recurring_order_id: UUID, slot: datetime, *, draft: bool = False
) -> dict[str, Any]:
    """Make the slot's order. `draft`: leave it a draft although it should be confirmed.

    Raises SlotSettled (it has had its turn), TemplateChanged, NotFound and what creating an order raises.
    """
    seen = (await found_recurring_order(work, recurring_order_id)).order
    [settled] = await work.peek(RUN_OF_SLOT(recurring_order_id=recurring_order_id, slot=slot))
    if settled:
        raise SlotSettled(slot=slot.isoformat())
    if (why := _over(seen, slot, work)) is not None:
        row, schedule = await locked(work, recurring_order_id)
        if row.state == "active":
            end(work, row, schedule)
        return {"order_id": None, "ended": why}
    # The template's own row comes after the order's stock: every run takes them in this order.
    order = await create_order(work, _order(seen, slot, draft=draft, work=work))
    row, schedule = await locked(work, recurring_order_id)
    await _settle(work, row, slot, order_id=order.id)
    if row != seen._replace(version=row.version, made=row.made):  # another slot's order is no change
        raise TemplateChanged(recurring_order_id=str(recurring_order_id))
    after = save(work, row, made=row.made + 1)
    _end_if_done(work, after, schedule)
    return {"order_id": str(order.id), "number": order.number, "state": order.state}


async def skip_recurring_order(
    work: UnitOfWork, recurring_order_id: UUID, slot: datetime, refusal: DomainError
) -> dict[str, Any]:
    """Note that the slot has no order, and tell the people of the tenant why. Raises SlotSettled, NotFound."""
    row, _ = await locked(work, recurring_order_id)
    await _settle(work, row, slot, code=refusal.code, detail=refusal.detail)
    await _tell(work, row, slot, "recurring_order_skipped", f"No order of `{row.name}`: {refusal.title}", refusal)
    return {"order_id": None, "code": refusal.code}


async def draft_recurring_order(
    work: UnitOfWork, recurring_order_id: UUID, slot: datetime, refusal: InsufficientStock
) -> dict[str, Any]:
    """Stock lacks: leave the slot's order a draft and tell. Raises what placing one raises."""
    made = await place_recurring_order(work, recurring_order_id, slot, draft=True)
    row, _ = await locked(work, recurring_order_id)
    await _tell(
        work, row, slot, "recurring_order_draft", f"The order of `{row.name}` is a draft: stock lacks", refusal
    )
    return made


def _order(row: RecurringRow, slot: datetime, *, draft: bool, work: UnitOfWork) -> CreateOrderInput:
    template = msgspec.convert(row.template, OrderTemplate)
    fields = {name: getattr(template, name) for name in template.__struct_fields__}
    confirm = row.confirm and not draft
    return CreateOrderInput(
        **fields, date=min(_day(slot, work), work.today), confirm=confirm,
        allow_partial=confirm and row.when_short == "backorder",
    )  # fmt: skip


def _day(slot: datetime, work: UnitOfWork) -> date:
    return slot.astimezone(ZoneInfo(work.tenant.time_zone)).date()


def _over(row: RecurringRow, slot: datetime, work: UnitOfWork) -> str | None:
    """Why no more orders are made, if so."""
    if row.state == "ended":
        return "ended"
    if row.ends_on is not None and _day(slot, work) > row.ends_on:
        return "ends_on"
    return None


def _end_if_done(work: UnitOfWork, row: RecurringRow, schedule: ScheduleRow) -> None:
    full = row.most_orders is not None and row.made >= row.most_orders
    last = row.ends_on is not None and schedule.next_at is not None and _day(schedule.next_at, work) > row.ends_on
    if full or last:
        end(work, row, schedule)


async def _settle(work: UnitOfWork, row: RecurringRow, slot: datetime, **outcome: Any) -> None:
    settled = {"order_id": None, "code": None, "detail": None} | outcome
    [added] = await work.load(
        ADD_RUN(
            id=new_id(), recurring_order_id=row.id, slot=slot,
            outcome="skipped" if settled["order_id"] is None else "ordered", **settled,
        )
    )  # fmt: skip
    if not added:
        raise SlotSettled(slot=slot.isoformat())


async def _tell(
    work: UnitOfWork, row: RecurringRow, slot: datetime, kind: str, title: str, refusal: DomainError
) -> None:
    data = {"slot": slot.isoformat(), "code": refusal.code, "detail": refusal.detail, **refusal.facts}
    notice = NewNotice(kind, f"{row.id} {slot.isoformat()}", title, "recurring_order", row.id, data)
    await give_notice(work, notice)
