"""A sale between two tenants: the seller's half and the buyer's half in one distributed transaction.

Each half is written by the slices that write such documents anyway, in a unit of work of the tenant it belongs to.
The consent of both is read under a lock in both, so nothing is ever written for a tenant that has not agreed.
"""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar
from uuid import UUID

import msgspec

from db.errors import DomainError
from db.identifiers import new_id
from erp.intercompany.errors import NoCounterpart, NotAgreed, NotMirrored, OtherCurrency, PartnerRefused
from erp.intercompany.repository import (
    ADD_SALE,
    LINK_WITH,
    PRODUCTS_CODED,
    SHARE_LINK_WITH,
    SOLD_LINES,
    TURN_OF_TENANT,
    LinkRow,
    SaleRow,
    SoldLine,
)
from erp.intercompany.schemas import CreateIntercompanySaleInput, IntercompanySaleView
from erp.intercompany.views import sale_facts, sale_view
from erp.kernel.quantity import quantity_text
from erp.kernel.text import decimal
from erp.purchasing.bill_schemas import BillPurchaseOrderInput, PurchaseBillLineInput, SupplierBillView
from erp.purchasing.schemas import DirectReceiptInput, DirectReceiptView, PurchaseLineInput
from erp.purchasing.service import bill_order, receive_directly
from erp.sales.documents import DirectSaleView
from erp.sales.schemas import DirectSaleInput
from erp.sales.service import create_direct_sale
from tenancy.caller import Caller, TenantFacts
from tenancy.distributed import Neighbours, join
from tenancy.trail import Event
from tenancy.work import UnitOfWork

T = TypeVar("T")

#: What the buyer's half may do, and nothing else.
_SCOPES = frozenset({"goods_receipts:write", "purchase_orders:write", "bills:write"})


@dataclass(frozen=True, slots=True)
class _Side:
    """One tenant's part: its unit of work and its consent."""

    work: UnitOfWork
    link: LinkRow


async def create_sale(work: UnitOfWork, data: CreateIntercompanySaleInput) -> IntercompanySaleView:
    """Raises NotAgreed, OtherCurrency, NoCounterpart, PartnerRefused, and what a direct sale raises.

    Distributed: DistributedAbort, OutcomeUnknown.
    """
    partner = await _partner(work, data.partner_id)
    buying = await join(work, _caller(work, partner))
    seller, buyer = await _locked(work, buying)
    on = data.date or min(work.today, buying.today)
    sale = await create_direct_sale(work, _as_direct_sale(data, seller.link, on))
    [lines] = await work.load(SOLD_LINES(sold_order=sale.id))
    receipt, bill = await _refusing(_bought(buyer, sale, lines, on))
    if (bill.net, bill.tax, bill.gross) != (sale.net, sale.tax, sale.gross):
        raise NotMirrored(f"The invoice is {sale.gross}, the bill {bill.gross}.", gross=sale.gross, billed=bill.gross)
    sold, bought = _rows(new_id(), seller, buyer, sale, receipt, bill)
    _record(work, sold, "sold")
    _record(buying, bought, "bought")
    return sale_view(sold)


async def _partner(work: UnitOfWork, partner_id: UUID) -> TenantFacts:
    """Who it is, when both have agreed; checked again under locks. Raises NotAgreed, OtherCurrency."""
    neighbours: Neighbours = work.database.neighbours
    [own] = await work.peek(LINK_WITH(other=partner_id))
    if not own or own[0].state != "active" or not own[0].sells:
        raise NotAgreed
    partner = await neighbours.find(partner_id)
    if partner is None:
        raise NotAgreed
    [theirs] = await neighbours.read(partner.database, partner_id, LINK_WITH(other=work.tenant_id))
    if not theirs or theirs[0].state != "active" or not theirs[0].buys:
        raise NotAgreed
    if partner.base_currency != work.tenant.base_currency:
        raise OtherCurrency(own=work.tenant.base_currency, partner=partner.base_currency)
    return partner


def _caller(work: UnitOfWork, partner: TenantFacts) -> Caller:
    """Who writes the buyer's half: nobody of the buyer's, by the consent the buyer gave."""
    return Caller(
        tenant=partner, principal_id=UUID(int=0), kind="system", name=f"intercompany:{work.tenant.slug}",
        role="system", scopes=_SCOPES, address=work.caller.address, correlation_id=work.caller.correlation_id,
        causation_id=work.caller.causation_id,
    )  # fmt: skip


async def _locked(selling: UnitOfWork, buying: UnitOfWork) -> tuple[_Side, _Side]:
    """Both tenants' turns and links, in the order of the tenants' ids. Raises NotAgreed, LockTimeout."""
    sides: dict[UUID, _Side] = {}
    for work, other in sorted(((selling, buying), (buying, selling)), key=lambda pair: pair[0].tenant_id):
        [state], links = await work.load(TURN_OF_TENANT(), SHARE_LINK_WITH(other=other.tenant_id))
        if state[0] != "active" or not links or links[0].state != "active":
            raise NotAgreed
        sides[work.tenant_id] = _Side(work, links[0])
    seller, buyer = sides[selling.tenant_id], sides[buying.tenant_id]
    if not seller.link.sells or not buyer.link.buys:
        raise NotAgreed
    return seller, buyer


def _as_direct_sale(data: CreateIntercompanySaleInput, link: LinkRow, on: date) -> DirectSaleInput:
    fields = msgspec.structs.asdict(data)
    del fields["partner_id"]
    return DirectSaleInput(**{**fields, "date": on, "party_id": link.party_id})


async def _refusing(work: Awaitable[T]) -> T:
    """What the buyer's books refuse is not the fault of a field the seller sent. Raises PartnerRefused."""
    try:
        return await work
    except NoCounterpart:
        raise
    except DomainError as refusal:
        if refusal.retryable:
            raise
        raise PartnerRefused(f"The partner's books refused: {refusal.title}.", partner_code=refusal.code) from refusal


async def _bought(
    buyer: _Side, sale: DirectSaleView, lines: Sequence[SoldLine], on: date
) -> tuple[DirectReceiptView, SupplierBillView]:
    """The buyer's order, receipt and bill, line for line as sold. Raises NoCounterpart and what purchasing raises."""
    codes = sorted({line.code for line in lines})
    [found] = await buyer.work.load(PRODUCTS_CODED(codes=codes))
    products: dict[str, UUID] = dict(found)
    if missing := [code for code in codes if code not in products]:
        raise NoCounterpart(f"The partner has no product {', '.join(missing[:5])}.", pointer="/lines", codes=missing)
    first = lines[0]
    receipt = await receive_directly(
        buyer.work,
        DirectReceiptInput(
            party_id=buyer.link.party_id, lines=[_ordered(line, products) for line in lines], date=on,
            location_id=buyer.link.location_id, prices_include_tax=first.prices_include_tax,
            tax_rounding=first.tax_rounding, reference=sale.order_number,  # type: ignore[arg-type]  # a checked text
        ),
    )  # fmt: skip
    bill = await bill_order(
        buyer.work,
        receipt.order.id,
        BillPurchaseOrderInput(
            supplier_number=sale.invoice_number, date=on, gross=sale.gross, lines=[_billed(line) for line in lines],
            prices_include_tax=first.prices_include_tax,
            tax_rounding=first.tax_rounding,  # type: ignore[arg-type]  # a checked text
        ),
    )  # fmt: skip
    return receipt, bill


def _ordered(line: SoldLine, products: dict[str, UUID]) -> PurchaseLineInput:
    return PurchaseLineInput(
        product_id=products[line.code], quantity=quantity_text(line.quantity), unit_code=line.unit_code,
        unit_price=quantity_text(line.unit_price), discount_percent=quantity_text(line.discount_percent),
        description=line.description,
    )  # fmt: skip


def _billed(line: SoldLine) -> PurchaseBillLineInput:
    """At the seller's tax rate, whatever the buyer's own tax group says."""
    return PurchaseBillLineInput(
        line_no=line.line_no, quantity=quantity_text(line.quantity), unit_price=quantity_text(line.unit_price),
        discount_percent=quantity_text(line.discount_percent), tax_rate=quantity_text(line.tax_rate),
    )  # fmt: skip


def _rows(
    sale_id: UUID,
    seller: _Side,
    buyer: _Side,
    sale: DirectSaleView,
    receipt: DirectReceiptView,
    bill: SupplierBillView,
) -> tuple[SaleRow, SaleRow]:
    sold = SaleRow(
        id=sale_id, version=1, side="seller", partner_id=buyer.work.tenant_id, party_id=seller.link.party_id,
        date=sale.date, currency=sale.currency, net=decimal(sale.net), tax=decimal(sale.tax),
        gross=decimal(sale.gross), line_count=sale.line_count, order_id=sale.id, order_number=sale.order_number,
        handover_id=sale.delivery_id, handover_number=sale.delivery_number, bill_id=sale.invoice_id,
        bill_number=sale.invoice_number, partner_number=bill.number, created_at=seller.work.now,
    )  # fmt: skip
    bought = sold._replace(
        side="buyer", partner_id=seller.work.tenant_id, party_id=buyer.link.party_id, order_id=receipt.order.id,
        order_number=receipt.order.number, handover_id=receipt.receipt.id, handover_number=receipt.receipt.number,
        bill_id=bill.id, bill_number=bill.number, partner_number=sale.invoice_number, created_at=buyer.work.now,
    )  # fmt: skip
    return sold, bought


def _record(work: UnitOfWork, row: SaleRow, what: str) -> None:
    work.save(ADD_SALE(**row._asdict()))
    facts = sale_facts(row)
    work.publish(Event("intercompany_sale", row.id, 1, f"intercompany_sale.{what}", facts))
    work.audit(f"intercompany_sale.{what}", "intercompany_sale", row.id, after=facts)
