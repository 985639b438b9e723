"""Return receipts: delivered goods come back into stock at what they cost when they left."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from uuid import UUID

from db.identifiers import new_id
from erp.accounting.posting import Ledger, ledger_loads, open_ledger
from erp.inventory.facts import chosen_location, location_facts, movement_date
from erp.inventory.stock import (
    Booking,
    Stock,
    book_moves,
    ensure_levels,
    numbered,
    past_loads,
    post_moves,
    stock_loads,
    stock_on,
)
from erp.kernel.errors import Invalid, NotFound
from erp.kernel.money import EXACT, money_text, round_money
from erp.kernel.quantity import quantity_text
from erp.sales.documents import ReturnView
from erp.sales.order_state import check, state_after
from erp.sales.planning import named
from erp.sales.repository import (
    DELIVERY,
    DELIVERY_LINES,
    LOCK_DELIVERY,
    LOCK_ORDER,
    MOVE_DELIVERY_LINES,
    ORDER_LINES,
    TOUCH_DELIVERY,
)
from erp.sales.rows import DeliveryLineRow, DeliveryRow, LineRow, ReturnLineRow, ReturnRow, in_base_unit
from erp.sales.saving import add_return, add_return_lines, move_lines, order_of, progress, set_state, tell_order
from erp.sales.schemas import ReturnDeliveryInput
from erp.sales.views import return_view
from tenancy.locks import stock_operation
from tenancy.trail import Event
from tenancy.work import UnitOfWork

_ZERO = Decimal(0)


async def return_delivery(work: UnitOfWork, delivery_id: UUID, data: ReturnDeliveryInput) -> ReturnView:
    """Take goods of one delivery back: Dr inventory / Cr cost of goods at the original delivered unit cost.

    Raises NotFound, VersionConflict (of the delivery), MoreThanOpen, NothingToDo, UnknownReference, DateInFuture,
    BackdatedTooFar, BackdatedTooMuch, PeriodClosed, Duplicate.
    """
    on = movement_date(work, data.date)
    found, peeked, places = await work.peek(
        DELIVERY(delivery_id=delivery_id), DELIVERY_LINES(delivery_id=delivery_id), location_facts(data.location_id)
    )
    delivery = delivery_of(found, delivery_id)
    location_id = chosen_location(places, data.location_id).id if data.location_id else delivery.location_id
    if on < delivery.date:
        raise Invalid(f"The goods left on {delivery.date}.", pointer="/date", delivered_on=delivery.date.isoformat())
    pairs = sorted({(line.product_id, location_id) for line in peeked})
    await stock_operation(work, pairs)
    ensure_levels(work, pairs)
    periods, roles, orders, lines, found, rows, levels, costs, *past = await work.load(
        *ledger_loads(on), LOCK_ORDER(order_id=delivery.order_id), ORDER_LINES(order_id=delivery.order_id),
        LOCK_DELIVERY(delivery_id=delivery_id), DELIVERY_LINES(delivery_id=delivery_id), *stock_loads(pairs),
        *past_loads(work, pairs, on),
    )  # fmt: skip
    order, delivery = order_of(orders, delivery.order_id), delivery_of(found, delivery_id)
    work.check_version(delivery.version)
    check(order.state, "return")
    ledger = open_ledger(periods, roles, on, strict_date=data.strict_date)
    stock = await stock_on(work, ledger, pairs, levels, costs, past)
    back = named(data.lines, rows, {row.line_no: row.quantity - row.returned for row in rows})
    returned = [
        _receive(stock, line_no, row, quantity, location_id) for line_no, (row, quantity) in enumerate(back, start=1)
    ]

    receipt = ReturnRow(
        id=new_id(), number="", delivery_id=delivery.id, order_id=order.id, credit_note_id=None,
        party_id=delivery.party_id, location_id=location_id, date=on, accounting_date=ledger.date,
        cost=sum((line.cost for line in returned), _ZERO), line_count=len(returned), reason=data.reason,
        entry_id=None, external_id=data.external_id, version=1, created_at=work.now,
    )  # fmt: skip
    booking = await book_return(work, ledger, stock, receipt.id, returned)
    [number] = await numbered(work, ledger, stock, "return")
    receipt = receipt._replace(number=number, entry_id=booking.entry_id)
    post_return(work, ledger, stock, booking, receipt, returned)
    told = {"return": receipt.number, "return_id": str(receipt.id)}
    _note_on_delivery(work, delivery, returned, told)
    after_lines = _came_back(lines, {row.order_line_id: quantity for row, quantity in back})
    after = set_state(work, order, state=state_after(order.state, "return", after_lines))
    move_lines(work, lines, after_lines)
    facts = {**told, "lines": progress(lines, after_lines)}
    tell_order(work, after, "returned", before=order, facts=facts)
    return return_view(receipt, returned, order.currency)


def _note_on_delivery(
    work: UnitOfWork, delivery: DeliveryRow, returned: Sequence[ReturnLineRow], told: Mapping[str, str]
) -> None:
    work.save(
        TOUCH_DELIVERY(delivery_id=delivery.id),
        MOVE_DELIVERY_LINES(
            ids=[line.delivery_line_id for line in returned],
            quantities=[line.quantity for line in returned],
            amounts=[line.cost for line in returned],
        ),
    )
    work.publish(Event("delivery", delivery.id, delivery.version + 1, "delivery.returned", told))


def delivery_of(found: Sequence[DeliveryRow], delivery_id: UUID) -> DeliveryRow:
    """Raises NotFound."""
    if not found:
        raise NotFound(delivery_id=str(delivery_id))
    return found[0]


def returned_cost(row: DeliveryLineRow, quantity: Decimal, currency: str) -> Decimal:
    """What `quantity` more of the line cost when it left: however often it comes in parts, all of it in the end."""
    after = row.returned + quantity
    if after == row.quantity:
        return row.cost - row.returned_cost
    return round_money(EXACT.divide(EXACT.multiply(row.cost, after), row.quantity), currency) - row.returned_cost


def _receive(stock: Stock, line_no: int, row: DeliveryLineRow, quantity: Decimal, location_id: UUID) -> ReturnLineRow:
    base = in_base_unit(quantity, row)
    value = returned_cost(row, quantity, stock.currency)
    move = stock.receive(new_id(), row.product_id, location_id, base, value)
    return ReturnLineRow(
        move.line_id or new_id(), line_no, row.id, row.product_id, quantity, row.unit_code, base, move.unit_cost,
        value,
    )  # fmt: skip


def _came_back(lines: Sequence[LineRow], back: Mapping[UUID, Decimal]) -> list[LineRow]:
    return [line._replace(returned=line.returned + back.get(line.id, _ZERO)) for line in lines]


async def book_return(
    work: UnitOfWork, ledger: Ledger, stock: Stock, return_id: UUID, lines: Sequence[ReturnLineRow]
) -> Booking:
    """Queue what bears no number: the receipt's lines and moves, and the lines of its entry.

    Dr inventory / Cr cost of goods.
    """
    add_return_lines(work, return_id, lines)
    return await book_moves(
        work, ledger, stock, kind="return", counter_role="@cogs", source_type="return", source_id=return_id
    )


def post_return(
    work: UnitOfWork, ledger: Ledger, stock: Stock, booking: Booking, row: ReturnRow, lines: Sequence[ReturnLineRow]
) -> None:
    """Queue the receipt and the heading of its entry, and tell of it."""
    post_moves(work, ledger, stock, booking, number=row.number, text=row.reason)
    add_return(work, row)
    currency = work.tenant.base_currency
    told = {
        "number": row.number, "party_id": str(row.party_id), "date": row.date.isoformat(),
        "accounting_date": row.accounting_date.isoformat(), "cost": money_text(row.cost, currency),
        "delivery_id": str(row.delivery_id) if row.delivery_id else None,
        "credit_note_id": str(row.credit_note_id) if row.credit_note_id else None,
        "reason": row.reason, "line_count": row.line_count, "external_id": row.external_id,
    }  # fmt: skip
    came = [
        {
            "product_id": str(line.product_id), "base_quantity": quantity_text(line.base_quantity),
            "cost": money_text(line.cost, currency),
        }
        for line in lines
    ]  # fmt: skip
    known = {**told, "lines": came, "levels": stock.level_facts()}
    work.publish(Event("return", row.id, 1, "return.posted", known))
    work.audit("return.post", "return", row.id, after=told)
