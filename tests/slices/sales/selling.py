"""Short ways to sell, for the tests."""

from datetime import date
from typing import Any
from uuid import UUID

from erp.invoicing.schemas import InvoiceView
from erp.sales.documents import DeliveryView, OrderView, ReturnView
from erp.sales.schemas import (
    CreateOrderInput,
    DeliverOrderInput,
    InvoiceOrderInput,
    OrderLineInput,
    ReturnDeliveryInput,
    StepLineInput,
)
from erp.sales.service import create_order, deliver_order, invoice_order, return_delivery
from tests.slices.inventory.shop import MARCH, Shop


def line(product: UUID, quantity: str = "1", **more: Any) -> OrderLineInput:
    return OrderLineInput(product_id=product, quantity=quantity, **more)


def step(line_no: int, quantity: str | None = None) -> StepLineInput:
    return StepLineInput(line_no=line_no, quantity=quantity)


def order_input(shop: Shop, *lines: OrderLineInput, **more: Any) -> CreateOrderInput:
    return CreateOrderInput(party_id=more.pop("party_id", shop.customer), lines=list(lines), date=MARCH, **more)


async def order(shop: Shop, *lines: OrderLineInput, **more: Any) -> OrderView:
    return await shop.run(create_order, order_input(shop, *lines, **more))


async def confirmed(shop: Shop, *lines: OrderLineInput, **more: Any) -> OrderView:
    return await order(shop, *lines, confirm=True, **more)


async def deliver(shop: Shop, order_id: UUID, *steps: StepLineInput, on: date = MARCH, **more: Any) -> DeliveryView:
    return await shop.run(deliver_order, order_id, DeliverOrderInput(lines=list(steps) or None, date=on, **more))


async def invoice(shop: Shop, order_id: UUID, *steps: StepLineInput, **more: Any) -> InvoiceView:
    return await shop.run(invoice_order, order_id, InvoiceOrderInput(lines=list(steps) or None, date=MARCH, **more))


async def take_back(
    shop: Shop, delivery_id: UUID, *steps: StepLineInput, on: date = MARCH, **more: Any
) -> ReturnView:
    data = ReturnDeliveryInput(reason="Did not fit", lines=list(steps) or None, date=on, **more)
    return await shop.run(return_delivery, delivery_id, data)
