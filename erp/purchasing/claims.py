"""What commands on purchase orders, receipts and bills lock, for those who run several in one transaction."""

from uuid import UUID

from erp.accounting.claims import days_of, item_claims, ledger_claims
from erp.inventory.claims import goods_claims, pairs_named
from erp.purchasing.bill_schemas import BillPurchaseOrderInput, CancelSupplierBillInput, CreateSupplierBillInput
from erp.purchasing.repository import BILL, BILL_LINES, LOCK_BILL, LOCK_ORDERS, ORDER_LINES, ORDERS
from erp.purchasing.schemas import DirectReceiptInput, ReceivePurchaseOrderInput
from tenancy.concurrency import Asked, Claim, LockRank, claims_of_documents, inputs, locked_by, targets
from tenancy.locks import account_name
from tenancy.work import UnitOfWork

locked_by("purchase_orders", lambda keys: [LOCK_ORDERS(order_ids=[order for (order,) in keys])])
locked_by("supplier_bills", lambda keys: [LOCK_BILL(bill_id=bill) for (bill,) in keys])

claims_of_orders = claims_of_documents("purchase_orders")


async def claims_of_receipts(work: UnitOfWork, asked: list[Asked[ReceivePurchaseOrderInput]]) -> list[Claim]:
    """The orders and the levels of their goods, where those will lie."""
    ids = targets(asked)
    orders, lines = await work.peek(ORDERS(order_ids=ids), ORDER_LINES(order_ids=ids))
    places: dict[UUID, UUID] = {order.id: order.location_id for order in orders}
    places |= {one.target: one.data.location_id for one in asked if one.target and one.data and one.data.location_id}
    goods = [line for line in lines if line.goods]
    pairs = (await pairs_named(work, ((line.product_id, places[line.order_id]) for line in goods))).values()
    return [
        *(Claim(LockRank.DOCUMENT, "purchase_orders", (order.id,)) for order in orders),
        *goods_claims(pairs, arriving=pairs),
        *ledger_claims(days_of(work, asked), "goods_receipt"),
    ]


async def claims_of_direct_receipts(work: UnitOfWork, asked: list[Asked[DirectReceiptInput]]) -> list[Claim]:
    named = ((line.product_id, data.location_id) for data in inputs(asked) for line in data.lines)
    pairs = (await pairs_named(work, named)).values()
    return [*goods_claims(pairs, arriving=pairs), *ledger_claims(days_of(work, asked), "goods_receipt")]


async def claims_of_new_bills(work: UnitOfWork, asked: list[Asked[CreateSupplierBillInput]]) -> list[Claim]:
    """The orders that are billed."""
    named = [
        _billed(order_id, data.party_id)
        for data in inputs(asked)
        for order_id in (data.order_id, *(line.order_id for line in data.lines or ()))
        if order_id is not None
    ]
    return [*named, *ledger_claims(days_of(work, asked), "supplier_bill")]


async def claims_of_order_bills(work: UnitOfWork, asked: list[Asked[BillPurchaseOrderInput]]) -> list[Claim]:
    [orders] = await work.peek(ORDERS(order_ids=targets(asked)))
    billed = (_billed(order.id, order.party_id) for order in orders)
    return [*billed, *ledger_claims(days_of(work, asked), "supplier_bill")]


async def claims_of_bills(work: UnitOfWork, asked: list[Asked[CancelSupplierBillInput]]) -> list[Claim]:
    """The bills to cancel, the orders they are of, and what is open of them."""
    ids = targets(asked)
    found = await work.peek(*(BILL(bill_id=bill) for bill in ids), *(BILL_LINES(bill_id=bill) for bill in ids))
    return [
        *(
            _billed(line.order_id, bill.party_id)
            for bills, lines in zip(found[: len(ids)], found[len(ids) :], strict=True)
            for bill in bills
            for line in lines
        ),
        *(Claim(LockRank.DOCUMENT, "supplier_bills", (bill,)) for bill in ids),
        *item_claims(ids),
        *ledger_claims(days_of(work, asked), "journal"),
    ]


def _billed(order_id: UUID, party_id: UUID) -> Claim:
    """Bills of one supplier take turns, in front of the database."""
    return Claim(LockRank.DOCUMENT, "purchase_orders", (order_id,), account_name(party_id))
