"""Supplier bills: Dr goods received at receipt value, input tax and price variance / Cr payables."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

import msgspec

from db.identifiers import new_id
from erp.accounting.open_items import NewOpenItem, save_open_item
from erp.accounting.posting import Ledger, Posting, ledger_loads, open_ledger, rounded, save_entry
from erp.kernel.errors import Invalid, NotFound, UnknownReference
from erp.kernel.money import money
from erp.kernel.quantity import quantity_text
from erp.numbering.service import take
from erp.parties.facts import PartyFacts, party_facts, supplier_of
from erp.pricing.facts import group_rates
from erp.pricing.tax import Rounding
from erp.purchasing.bill_schemas import (
    BillPurchaseOrderInput,
    CreateSupplierBillInput,
    SupplierBillLineInput,
    SupplierBillView,
)
from erp.purchasing.errors import MixedPrices, OtherSupplier
from erp.purchasing.matching import asked_lines, bill_lines, match
from erp.purchasing.order_state import check_step, state_of
from erp.purchasing.orders import tell
from erp.purchasing.repository import (
    ADD_BILL,
    ADD_BILL_LINES,
    LOCK_ORDERS,
    ORDER_LINES,
    ORDERS,
    SET_STATES,
    arrays,
    move_lines,
)
from erp.purchasing.rows import BillLineRow, BillRow, LineRow, OrderRow
from erp.purchasing.views import bill_facts, bill_view
from tenancy.locks import account_operation
from tenancy.trail import Event
from tenancy.work import UnitOfWork

#: What bills call themselves on open items and journal entries.
SOURCE = "supplier_bill"
_ZERO = Decimal(0)


async def create_bill(work: UnitOfWork, data: CreateSupplierBillInput) -> SupplierBillView:
    """Enter and post a supplier's bill for goods received.

    Raises UnknownReference, OtherSupplier, MixedPrices, MoreThanReceived, NothingOpen, NoTaxRate, RoundingTooLarge,
    PeriodClosed, Duplicate for a supplier's number that was entered before.
    """
    on = data.date or work.today
    order_ids = _orders_named(data)
    await account_operation(work, [data.party_id])
    periods, roles, orders, lines, parties, rates = await work.load(
        *ledger_loads(on), LOCK_ORDERS(order_ids=order_ids), ORDER_LINES(order_ids=order_ids),
        party_facts(data.party_id), group_rates(on),
    )  # fmt: skip
    supplier = supplier_of(parties, data.party_id)
    _check_orders(orders, order_ids, supplier)
    if len(orders) == 1:
        work.check_version(orders[0].version)
    ledger = open_ledger(periods, roles, on, strict_date=data.strict_date)
    bill, rows, after = _priced(work, ledger, data, orders, lines, {row.tax_group_id: row.rate for row in rates})
    bill = bill._replace(due_date=_due_date(data, on, supplier))
    postings = postings_of(bill, rows)

    [number] = await take(work, ledger.date, "supplier_bill")
    bill = bill._replace(number=number, entry_id=new_id() if postings else None)
    _save(work, ledger, bill, rows, postings)
    work.save(move_lines(lines, after))
    settle_orders(work, orders, after, "billed")
    return bill_view(bill, rows)


async def bill_order(work: UnitOfWork, order_id: UUID, data: BillPurchaseOrderInput) -> SupplierBillView:
    """The bill of one order. Raises NotFound, VersionConflict and what `create_bill` raises."""
    [peeked] = await work.peek(ORDERS(order_ids=[order_id]))
    if not peeked:
        raise NotFound(purchase_order_id=str(order_id))
    fields = msgspec.structs.asdict(data)
    if data.lines is not None:
        fields["lines"] = [SupplierBillLineInput(**msgspec.structs.asdict(line)) for line in data.lines]
    return await create_bill(work, CreateSupplierBillInput(party_id=peeked[0].party_id, order_id=order_id, **fields))


def _orders_named(data: CreateSupplierBillInput) -> list[UUID]:
    named = {line.order_id for line in data.lines or () if line.order_id is not None}
    if data.order_id is not None:
        named.add(data.order_id)
    if not named:
        raise Invalid("Name the order, here or on each line.", pointer="/order_id")
    return sorted(named)


def _check_orders(orders: Sequence[OrderRow], order_ids: Sequence[UUID], supplier: PartyFacts) -> None:
    """Raises UnknownReference, OtherSupplier, InvalidState."""
    known = {order.id: order for order in orders}
    for order_id in order_ids:
        if order_id not in known:
            raise UnknownReference("There is no order with this id.", pointer="/order_id", order_id=str(order_id))
        order = known[order_id]
        if order.party_id != supplier.id:
            raise OtherSupplier(
                f"{order.number} is not an order to {supplier.code}.", pointer="/order_id", order_id=str(order_id)
            )
        check_step("bill", order)


def _priced(
    work: UnitOfWork,
    ledger: Ledger,
    data: CreateSupplierBillInput,
    orders: Sequence[OrderRow],
    lines: Sequence[LineRow],
    rates: Mapping[UUID, Decimal],
) -> tuple[BillRow, list[BillLineRow], list[LineRow]]:
    """The bill without its number and due date, its lines, and the orders' lines after it."""
    currency = work.tenant.base_currency
    included, rounding = _terms(data, orders)
    asked = asked_lines(data.lines, data.order_id, lines)
    claims, after = match(asked, data.order_id, lines, rates, currency)
    rows = bill_lines(claims, included=included, rounding=rounding, currency=currency)
    net, tax = sum((row.net for row in rows), _ZERO), sum((row.tax for row in rows), _ZERO)
    gross = net + tax if data.gross is None else money(data.gross, currency, pointer="/gross")
    cleared = sum((row.receipt_value for row in rows), _ZERO)
    bill = BillRow(
        id=new_id(), number="", supplier_number=data.supplier_number, state="posted", party_id=data.party_id,
        date=ledger.document_date, due_date=ledger.document_date, accounting_date=ledger.date, currency=currency,
        prices_include_tax=included, tax_rounding=rounding, net=net, tax=tax, rounding=gross - net - tax,
        gross=gross, receipt_value=cleared, variance=net - cleared, line_count=len(rows), text=data.text,
        entry_id=None, cancel_entry_id=None, cancelled_on=None, cancel_reason="", external_id=data.external_id,
        version=1, created_at=work.now,
    )  # fmt: skip
    return bill, rows, after


def _terms(data: CreateSupplierBillInput, orders: Sequence[OrderRow]) -> tuple[bool, Rounding]:
    """Whether the bill's prices hold tax, and how its tax is rounded. Raises MixedPrices."""
    rounding: Rounding = "document" if orders[0].tax_rounding == "document" else "line"
    ways = {order.prices_include_tax for order in orders}
    if data.prices_include_tax is None and len(ways) > 1:
        raise MixedPrices(pointer="/prices_include_tax")
    included = orders[0].prices_include_tax if data.prices_include_tax is None else data.prices_include_tax
    return included, data.tax_rounding or rounding


def _due_date(data: CreateSupplierBillInput, on: date, supplier: PartyFacts) -> date:
    if data.due_date is None:
        return on + timedelta(days=supplier.payment_terms_days)
    if data.due_date < on:
        raise Invalid("The bill is due before its date.", pointer="/due_date")
    return data.due_date


def postings_of(bill: BillRow, rows: Sequence[BillLineRow]) -> list[Posting]:
    """The entry's lines, none when everything is zero. Raises RoundingTooLarge. Pure."""
    taxes: dict[Decimal, Decimal] = {}
    for row in rows:
        taxes[row.tax_rate] = taxes.get(row.tax_rate, _ZERO) + row.tax
    found = [
        Posting("@grni", bill.receipt_value),
        Posting("@price_variance", bill.variance),
        *(Posting("@input_tax", tax, text=f"{quantity_text(rate)} %") for rate, tax in sorted(taxes.items())),
        Posting("@payables", -bill.gross, party_id=bill.party_id),
    ]
    return rounded([posting for posting in found if posting.amount], bill.currency, lines=len(rows))


def _save(
    work: UnitOfWork, ledger: Ledger, bill: BillRow, rows: Sequence[BillLineRow], postings: Sequence[Posting]
) -> None:
    """Queue the bill with its entry and open item. A bill free of charge has neither."""
    if bill.entry_id is not None:
        save_entry(
            work, ledger, entry_id=bill.entry_id, number=bill.number, journal="purchases", postings=postings,
            source_type=SOURCE, source_id=bill.id, text=bill.text or bill.supplier_number,
        )  # fmt: skip
    if bill.gross:
        save_open_item(
            work,
            NewOpenItem(
                id=new_id(), party_id=bill.party_id, side="payable", direction="credit", document_type=SOURCE,
                document_id=bill.id, document_number=bill.number, due_date=bill.due_date, amount=bill.gross,
                date=ledger.date,
            ),
        )  # fmt: skip
    work.save(ADD_BILL(**bill._asdict()), ADD_BILL_LINES(bill_id=bill.id, **arrays(BillLineRow._fields, rows)))
    tell_bill(work, bill, "posted")


def settle_orders(work: UnitOfWork, orders: Sequence[OrderRow], lines: Sequence[LineRow], what: str) -> None:
    """Queue the orders' states after their lines changed, with an event for each."""
    after = [
        order._replace(
            state=state_of([line for line in lines if line.order_id == order.id]), version=order.version + 1
        )
        for order in orders
    ]
    work.save(SET_STATES(ids=[order.id for order in after], states=[order.state for order in after]))
    for old, new in zip(orders, after, strict=True):
        tell(work, new, what, before=old)


def tell_bill(work: UnitOfWork, bill: BillRow, what: str, *, before: BillRow | None = None) -> None:
    """The event and the audit entry of one change of a bill."""
    facts = bill_facts(bill)
    if bill.cancel_reason:
        facts["reason"] = bill.cancel_reason
    work.publish(Event(SOURCE, bill.id, bill.version, f"supplier_bill.{what}", facts))
    work.audit(
        f"supplier_bill.{what}", SOURCE, bill.id,
        before={"state": before.state} if before is not None else None, after=facts,
    )  # fmt: skip
