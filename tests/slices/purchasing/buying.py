"""Short ways to say what the tests of purchasing do."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from erp.purchasing.bill_schemas import (
    BillPurchaseOrderInput,
    CreateSupplierBillInput,
    PurchaseBillLineInput,
    SupplierBillLineInput,
    SupplierBillView,
)
from erp.purchasing.proof import CHECKS
from erp.purchasing.schemas import (
    CreatePurchaseOrderInput,
    GoodsReceiptLineInput,
    GoodsReceiptView,
    PurchaseLineInput,
    PurchaseOrderView,
    ReceivePurchaseOrderInput,
)
from erp.purchasing.service import bill_order, create_bill, create_order, receive_order
from tests.slices.inventory.shop import MARCH, Shop


def line(product: UUID, quantity: str = "1", unit_price: str = "4.00", **more: Any) -> PurchaseLineInput:
    return PurchaseLineInput(product_id=product, quantity=quantity, unit_price=unit_price, **more)


async def ordered(shop: Shop, *lines: PurchaseLineInput, on: date = MARCH, **more: Any) -> PurchaseOrderView:
    """A placed order to the supplier, unless `confirm` says otherwise."""
    data = CreatePurchaseOrderInput(party_id=shop.supplier, lines=list(lines), date=on, **{"confirm": True, **more})
    return await shop.run(create_order, data)


async def received(
    shop: Shop, order: PurchaseOrderView, *parts: tuple[int, str | None], on: date = MARCH, **more: Any
) -> GoodsReceiptView:
    """Some lines of the order, all that is open without any."""
    lines = [GoodsReceiptLineInput(line_no=line_no, quantity=quantity) for line_no, quantity in parts] or None
    return await shop.run(receive_order, order.id, ReceivePurchaseOrderInput(lines=lines, date=on, **more))


async def billed(
    shop: Shop,
    order: PurchaseOrderView,
    *lines: PurchaseBillLineInput,
    number: str = "S-1",
    on: date = MARCH,
    **more: Any,
) -> SupplierBillView:
    data = BillPurchaseOrderInput(supplier_number=number, lines=list(lines) or None, date=on, **more)
    return await shop.run(bill_order, order.id, data)


async def billed_together(
    shop: Shop, *lines: SupplierBillLineInput, number: str = "S-1", on: date = MARCH, **more: Any
) -> SupplierBillView:
    data = CreateSupplierBillInput(
        party_id=shop.supplier, supplier_number=number, lines=list(lines) or None, date=on, **more
    )
    return await shop.run(create_bill, data)


async def wrong(shop: Shop) -> dict[str, Sequence[Any]]:
    """Everything the proof finds wrong with ledger, stock and purchasing."""
    return {**await shop.wrong(), **await shop.evidence(*CHECKS)}


async def state(shop: Shop, order: PurchaseOrderView) -> str:
    [found] = await shop.column(
        "SELECT state FROM purchase_orders WHERE tenant_id = %(tenant_id)s AND id = %(id)s", id=order.id
    )
    return str(found)


async def incoming(shop: Shop) -> dict[UUID, str]:
    """Product -> what is on its way, in its own unit."""
    sql = "SELECT product_id::text || '=' || quantity FROM incoming_stock WHERE tenant_id = %(tenant_id)s"
    pairs = [text.split("=") for text in await shop.column(sql)]
    return {UUID(product): quantity for product, quantity in pairs}


async def events(shop: Shop, aggregate: UUID) -> list[str]:
    """The types of an aggregate's events, in the order of its versions."""
    return await shop.column(
        "SELECT type FROM events WHERE tenant_id = %(tenant_id)s AND aggregate_id = %(id)s ORDER BY version",
        id=aggregate,
    )
