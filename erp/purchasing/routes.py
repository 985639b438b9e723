"""Purchase orders, goods receipts and supplier bills over HTTP."""

from typing import Any
from uuid import UUID

from litestar import Router, get, post

from erp.http.answers import Reply
from erp.http.commands import Command, perform, read, show
from erp.http.listing import Page, list_page
from erp.http.request import ApiRequest
from erp.kernel.errors import NotFound
from erp.purchasing import service
from erp.purchasing.bill_schemas import (
    BillPurchaseOrderInput,
    CancelSupplierBillInput,
    CreateSupplierBillInput,
    SupplierBillSummary,
    SupplierBillView,
)
from erp.purchasing.claims import (
    claims_of_bills,
    claims_of_direct_receipts,
    claims_of_new_bills,
    claims_of_order_bills,
    claims_of_orders,
    claims_of_receipts,
)
from erp.purchasing.queries import BILL_LIST, ORDER_LIST, RECEIPT, RECEIPT_LINES, RECEIPT_LIST
from erp.purchasing.repository import BILL, BILL_LINES, ORDER_LINES, ORDERS
from erp.purchasing.schemas import (
    CreatePurchaseOrderInput,
    DirectReceiptInput,
    DirectReceiptView,
    GoodsReceiptSummary,
    GoodsReceiptView,
    PurchaseOrderSummary,
    PurchaseOrderView,
    ReceivePurchaseOrderInput,
    StopPurchaseOrderInput,
)
from erp.purchasing.views import (
    bill_summary,
    bill_view,
    order_summary,
    order_view,
    receipt_summary,
    receipt_view,
)

_ORDERS, _RECEIPTS, _BILLS = "purchase_orders:write", "goods_receipts:write", "bills:write"

CREATE = Command("purchase_orders.create", service.create_order, _ORDERS, CreatePurchaseOrderInput, status=201)
CONFIRM = Command(
    "purchase_orders.confirm", service.confirm_order, _ORDERS, target=True, match="accepted",
    claims=claims_of_orders,
)  # fmt: skip
CANCEL = Command(
    "purchase_orders.cancel", service.cancel_order, _ORDERS, StopPurchaseOrderInput, target=True, match="accepted",
    claims=claims_of_orders,
)  # fmt: skip
CLOSE = Command(
    "purchase_orders.close", service.close_order, _ORDERS, StopPurchaseOrderInput, target=True, match="accepted",
    claims=claims_of_orders,
)  # fmt: skip
RECEIVE = Command(
    "purchase_orders.receive", service.receive_order, _RECEIPTS, ReceivePurchaseOrderInput, status=201,
    target=True, key="required", match="accepted", made_in="/v1/goods-receipts", claims=claims_of_receipts,
)  # fmt: skip
RECEIVE_DIRECTLY = Command(
    "direct_receipts.create", service.receive_directly, _RECEIPTS, DirectReceiptInput, status=201, key="required",
    made_in="/v1/goods-receipts", claims=claims_of_direct_receipts,
)  # fmt: skip
BILL_ORDER = Command(
    "purchase_orders.bill", service.bill_order, _BILLS, BillPurchaseOrderInput, status=201, target=True,
    key="required", match="accepted", made_in="/v1/supplier-bills", claims=claims_of_order_bills,
)  # fmt: skip
CREATE_BILL = Command(
    "supplier_bills.create", service.create_bill, _BILLS, CreateSupplierBillInput, status=201, key="required",
    claims=claims_of_new_bills,
)  # fmt: skip
CANCEL_BILL = Command(
    "supplier_bills.cancel", service.cancel_bill, _BILLS, CancelSupplierBillInput, target=True, key="required",
    match="accepted", claims=claims_of_bills,
)  # fmt: skip
COMMANDS = (CREATE, CONFIRM, CANCEL, CLOSE, RECEIVE, RECEIVE_DIRECTLY, BILL_ORDER, CREATE_BILL, CANCEL_BILL)


@post("/purchase-orders", summary="Create a purchase order", tags=["Purchase orders"])
async def create_order(request: ApiRequest, data: CreatePurchaseOrderInput) -> Reply[PurchaseOrderView]:
    """A draft, or with `confirm` an order that is placed: its goods then count as incoming."""
    return await perform(request, CREATE, data)


@post(
    "/purchase-orders/{purchase_order_id:uuid}/confirm",
    status_code=200,
    summary="Place an order",
    tags=["Purchase orders"],
)
async def confirm_order(request: ApiRequest, purchase_order_id: UUID) -> Reply[PurchaseOrderView]:
    return await perform(request, CONFIRM, target=purchase_order_id)


@post(
    "/purchase-orders/{purchase_order_id:uuid}/cancel",
    status_code=200,
    summary="Cancel an order",
    tags=["Purchase orders"],
)
async def cancel_order(
    request: ApiRequest, purchase_order_id: UUID, data: StopPurchaseOrderInput
) -> Reply[PurchaseOrderView]:
    """Only while nothing was received; an order of which part came is closed instead."""
    return await perform(request, CANCEL, data, purchase_order_id)


@post(
    "/purchase-orders/{purchase_order_id:uuid}/close",
    status_code=200,
    summary="Expect no more goods",
    tags=["Purchase orders"],
)
async def close_order(
    request: ApiRequest, purchase_order_id: UUID, data: StopPurchaseOrderInput
) -> Reply[PurchaseOrderView]:
    """Cancels what is still open of an order that came in part. What came can still be billed."""
    return await perform(request, CLOSE, data, purchase_order_id)


@get("/purchase-orders/{purchase_order_id:uuid}", summary="Read a purchase order", tags=["Purchase orders"])
async def get_order(request: ApiRequest, purchase_order_id: UUID) -> Reply[PurchaseOrderView]:
    ids = [purchase_order_id]
    found, lines = await read(request, "purchase_orders:read", ORDERS(order_ids=ids), ORDER_LINES(order_ids=ids))
    if not found:
        raise NotFound(purchase_order_id=str(purchase_order_id))
    return show(order_view(found[0], lines))


@get("/purchase-orders", summary="List purchase orders", tags=["Purchase orders"], opt={"listing": ORDER_LIST})
async def list_orders(request: ApiRequest) -> Reply[Page[PurchaseOrderSummary]]:
    page: Reply[Any] = await list_page(request, "purchase_orders:read", ORDER_LIST, order_summary)
    return page


@post("/purchase-orders/{purchase_order_id:uuid}/receipts", summary="Receive goods", tags=["Goods receipts"])
async def receive_order(
    request: ApiRequest, purchase_order_id: UUID, data: ReceivePurchaseOrderInput | None = None
) -> Reply[GoodsReceiptView]:
    """Posts inventory against goods received at order cost. An order may come in several parts."""
    return await perform(request, RECEIVE, data, purchase_order_id)


@post("/direct-receipts", summary="Order and receive in one step", tags=["Goods receipts"])
async def receive_directly(request: ApiRequest, data: DirectReceiptInput) -> Reply[DirectReceiptView]:
    """For goods that were never ordered here, such as opening purchases: thousands of lines at once."""
    return await perform(request, RECEIVE_DIRECTLY, data)


@get("/goods-receipts/{receipt_id:uuid}", summary="Read a goods receipt", tags=["Goods receipts"])
async def get_receipt(request: ApiRequest, receipt_id: UUID) -> Reply[GoodsReceiptView]:
    found, lines = await read(
        request, "goods_receipts:read", RECEIPT(receipt_id=receipt_id), RECEIPT_LINES(receipt_id=receipt_id)
    )
    if not found:
        raise NotFound(receipt_id=str(receipt_id))
    return show(receipt_view(found[0], lines))


@get("/goods-receipts", summary="List goods receipts", tags=["Goods receipts"], opt={"listing": RECEIPT_LIST})
async def list_receipts(request: ApiRequest) -> Reply[Page[GoodsReceiptSummary]]:
    page: Reply[Any] = await list_page(request, "goods_receipts:read", RECEIPT_LIST, receipt_summary)
    return page


@post("/purchase-orders/{purchase_order_id:uuid}/bills", summary="Bill an order", tags=["Supplier bills"])
async def bill_order(
    request: ApiRequest, purchase_order_id: UUID, data: BillPurchaseOrderInput
) -> Reply[SupplierBillView]:
    """The supplier's bill of one order; one of several orders is entered as a supplier bill."""
    return await perform(request, BILL_ORDER, data, purchase_order_id)


@post("/supplier-bills", summary="Enter a supplier's bill", tags=["Supplier bills"])
async def create_bill(request: ApiRequest, data: CreateSupplierBillInput) -> Reply[SupplierBillView]:
    """Matched to what was ordered and received, posted at once. The supplier's own number counts once."""
    return await perform(request, CREATE_BILL, data)


@post(
    "/supplier-bills/{bill_id:uuid}/cancel",
    status_code=200,
    summary="Cancel a supplier's bill",
    tags=["Supplier bills"],
)
async def cancel_bill(request: ApiRequest, bill_id: UUID, data: CancelSupplierBillInput) -> Reply[SupplierBillView]:
    """By a reversing entry. What was received stays received and can be billed again."""
    return await perform(request, CANCEL_BILL, data, bill_id)


@get("/supplier-bills/{bill_id:uuid}", summary="Read a supplier's bill", tags=["Supplier bills"])
async def get_bill(request: ApiRequest, bill_id: UUID) -> Reply[SupplierBillView]:
    found, lines = await read(request, "bills:read", BILL(bill_id=bill_id), BILL_LINES(bill_id=bill_id))
    if not found:
        raise NotFound(bill_id=str(bill_id))
    return show(bill_view(found[0], lines))


@get("/supplier-bills", summary="List supplier bills", tags=["Supplier bills"], opt={"listing": BILL_LIST})
async def list_bills(request: ApiRequest) -> Reply[Page[SupplierBillSummary]]:
    page: Reply[Any] = await list_page(request, "bills:read", BILL_LIST, bill_summary)
    return page


router = Router(
    "/v1",
    route_handlers=[
        create_order,
        confirm_order,
        cancel_order,
        close_order,
        get_order,
        list_orders,
        receive_order,
        receive_directly,
        get_receipt,
        list_receipts,
        bill_order,
        create_bill,
        cancel_bill,
        get_bill,
        list_bills,
    ],
)
