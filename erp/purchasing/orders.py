"""Purchase orders: created, placed, cancelled, closed before everything came."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from db.identifiers import new_id
from erp.inventory.facts import chosen_location, location_facts
from erp.inventory.incoming import Incoming, set_incoming
from erp.kernel.errors import NotFound
from erp.numbering.service import reference
from erp.parties.facts import party_facts, supplier_of
from erp.pricing.facts import conversions, selling_facts, tax_defaults
from erp.pricing.tax import PricedDocument, Rounding
from erp.purchasing.order_state import check_step
from erp.purchasing.ordering import new_lines, ratios_of
from erp.purchasing.repository import ADD_ORDER, LOCK_ORDERS, ORDER_LINES, SET_ORDER, add_lines, move_lines
from erp.purchasing.rows import LineRow, OrderRow
from erp.purchasing.schemas import (
    CreatePurchaseOrderInput,
    DirectReceiptInput,
    PurchaseOrderView,
    StopPurchaseOrderInput,
)
from erp.purchasing.views import order_facts, order_view
from tenancy.trail import Event
from tenancy.work import UnitOfWork

#: What purchase orders call themselves where other slices keep their rows.
SOURCE = "purchase_order"


async def create_order(work: UnitOfWork, data: CreatePurchaseOrderInput) -> PurchaseOrderView:
    """A draft, or with `confirm` a placed order.

    Raises UnknownReference, NotASupplier, PartyInactive, ProductInactive, NotInThisUnit, NotRepresentable, Duplicate.
    """
    number = await reference(work, "purchase_order")
    on = data.date or work.today
    product_ids = sorted({line.product_id for line in data.lines})
    parties, places, facts, ratios = await work.load(
        party_facts(data.party_id), location_facts(data.location_id), selling_facts(product_ids, on),
        conversions(product_ids),
    )  # fmt: skip
    supplier_of(parties, data.party_id)
    location = chosen_location(places, data.location_id)
    order_id = new_id()
    lines, priced = new_lines(
        order_id, data.lines, facts, ratios_of(ratios), included=data.prices_include_tax,
        rounding=rounding_of(work, data), currency=work.tenant.base_currency,
    )  # fmt: skip
    order = order_row(
        work, order_id, number, data, priced, len(lines), on=on, location_id=location.id,
        state="confirmed" if data.confirm else "draft",
    )._replace(expected_on=data.expected_on)  # fmt: skip
    work.save(ADD_ORDER(**order._asdict()), add_lines(lines))
    if data.confirm:
        expect(work, order, lines)
    tell(work, order, "created")
    return order_view(order, lines)


def rounding_of(work: UnitOfWork, data: CreatePurchaseOrderInput | DirectReceiptInput) -> Rounding:
    return data.tax_rounding or tax_defaults(work.tenant.settings).rounding


def order_row(
    work: UnitOfWork,
    order_id: UUID,
    number: str,
    data: CreatePurchaseOrderInput | DirectReceiptInput,
    priced: PricedDocument,
    line_count: int,
    *,
    on: date,
    location_id: UUID,
    state: str,
) -> OrderRow:
    return OrderRow(
        id=order_id, number=number, state=state, party_id=data.party_id, location_id=location_id, date=on,
        expected_on=None, currency=work.tenant.base_currency, prices_include_tax=data.prices_include_tax,
        tax_rounding=rounding_of(work, data), net=priced.net, tax=priced.tax, gross=priced.gross,
        line_count=line_count, reference=data.reference, text=data.text, reason="",
        external_id=data.external_id,
        confirmed_at=None if state == "draft" else work.now, version=1, created_at=work.now,
    )  # fmt: skip


async def confirm_order(work: UnitOfWork, order_id: UUID) -> PurchaseOrderView:
    """Place a draft: from now on its goods count as incoming. Raises NotFound, InvalidState, VersionConflict."""
    before, lines = await lock_order(work, order_id)
    check_step("confirm", before)
    after = before._replace(state="confirmed", confirmed_at=work.now, version=before.version + 1)
    expect(work, after, lines)
    _save(work, before, after, "confirmed")
    return order_view(after, lines)


async def cancel_order(work: UnitOfWork, order_id: UUID, data: StopPurchaseOrderInput) -> PurchaseOrderView:
    """Give up an order of which nothing came. Raises NotFound, InvalidState, VersionConflict."""
    before, lines = await lock_order(work, order_id)
    check_step("cancel", before)
    after = before._replace(state="cancelled", reason=data.reason, version=before.version + 1)
    return _stopped(work, before, after, lines, "cancelled")


async def close_order(work: UnitOfWork, order_id: UUID, data: StopPurchaseOrderInput) -> PurchaseOrderView:
    """No more goods are expected: cancel what is open. Raises NotFound, InvalidState, VersionConflict."""
    before, lines = await lock_order(work, order_id)
    check_step("close", before)
    billed = not any(line.unbilled for line in lines)
    after = before._replace(state="billed" if billed else "received", reason=data.reason, version=before.version + 1)
    return _stopped(work, before, after, lines, "closed")


def _stopped(
    work: UnitOfWork, before: OrderRow, after: OrderRow, lines: Sequence[LineRow], what: str
) -> PurchaseOrderView:
    left = [line._replace(cancelled=line.cancelled + line.open) for line in lines]
    work.save(move_lines(lines, left))
    expect(work, after, left)
    _save(work, before, after, what)
    return order_view(after, left)


async def lock_order(work: UnitOfWork, order_id: UUID) -> tuple[OrderRow, list[LineRow]]:
    """The order, locked, with its lines. Raises NotFound, VersionConflict."""
    found, lines = await work.load(LOCK_ORDERS(order_ids=[order_id]), ORDER_LINES(order_ids=[order_id]))
    if not found:
        raise NotFound(purchase_order_id=str(order_id))
    [order] = found
    work.check_version(order.version)
    return order, lines


def expect(work: UnitOfWork, order: OrderRow, lines: Sequence[LineRow]) -> None:
    """Queue what the order lets stock expect: everything placed that has not come."""
    set_incoming(
        work, SOURCE, order.id,
        [
            Incoming(line.product_id, order.location_id, line.base(line.open), order.expected_on)
            for line in lines
            if line.goods and line.open
        ],
    )  # fmt: skip


def _save(work: UnitOfWork, before: OrderRow, after: OrderRow, what: str) -> None:
    work.save(
        SET_ORDER(
            order_id=after.id, new_state=after.state, new_reason=after.reason, new_confirmed_at=after.confirmed_at
        )
    )
    tell(work, after, what, before=before)


def tell(work: UnitOfWork, order: OrderRow, what: str, *, before: OrderRow | None = None) -> None:
    """The event and the audit entry of one change of an order."""
    facts = order_facts(order)
    if order.reason:
        facts["reason"] = order.reason
    work.publish(Event("purchase_order", order.id, order.version, f"purchase_order.{what}", facts))
    work.audit(
        f"purchase_order.{what}", "purchase_order", order.id,
        before={"state": before.state} if before is not None else None, after=facts,
    )  # fmt: skip
