"""What becomes of an order that is fulfilled: all of it, or nothing that stays."""

import contextlib
from decimal import Decimal

from tests.fulfilment.conftest import GROSS, Shopfront


async def test_an_order_is_reserved_paid_delivered_and_invoiced(shopfront: Shopfront) -> None:
    saga = await shopfront.begin()
    assert set((await shopfront.states(saga)).values()) == {"planned"}
    assert await shopfront.run(saga) == "completed"
    view = await shopfront.view(saga)
    assert {step["state"] for step in view["steps"]} == {"done"}
    assert [step["attempts"] for step in view["steps"]] == [1] * 5
    assert shopfront.asked(saga) == [("authorise", True, 1), ("capture", True, 1)]
    order = await shopfront.tenant.get(f"/v1/sales-orders/{view['order_id']}")
    assert (order["state"], order["invoice_state"], order["payment_state"]) == ("delivered", "invoiced", "paid")
    assert Decimal(order["gross"]) == GROSS
    assert await shopfront.documents(saga) == {"deliveries": 1, "returns": 0, "invoices": 1}
    await shopfront.agrees()


async def test_what_would_take_a_step_back_is_written_before_it_is_asked_for(shopfront: Shopfront) -> None:
    saga = await shopfront.begin()
    seen = {}

    def edge(name: str) -> None:
        seen[name] = shopfront.asked(saga)

    await shopfront.run(saga, edge)
    assert seen["authorise:intended"] == []
    capture = next(step for step in (await shopfront.view(saga))["steps"] if step["name"] == "capture")
    assert (capture["undo"]["operation"], capture["undo"]["payment"]) == ("refund", f"saga:{saga}")


async def test_a_declined_card_leaves_nothing_behind(shopfront: Shopfront) -> None:
    saga = await shopfront.begin()
    shopfront.provider.tell("decline", operation="authorise", payment=f"saga:{saga}")
    assert await shopfront.run(saga) == "compensated"
    states = await shopfront.states(saga)
    assert states == {
        "reserve": "undone", "authorise": "refused", "capture": "planned", "deliver": "planned", "invoice": "planned"
    }  # fmt: skip
    order = await shopfront.tenant.get(f"/v1/sales-orders/{(await shopfront.view(saga))['order_id']}")
    assert order["state"] == "cancelled"
    assert shopfront.kept(saga) == 0
    await shopfront.agrees()


async def test_goods_that_are_gone_after_the_payment_give_the_money_back(shopfront: Shopfront) -> None:
    """Reserved and paid for, then a shelf collapses: the capture is refunded, the order given up."""
    saga = await shopfront.begin()
    line = {"product_id": shopfront.product, "quantity": "-1000"}

    def edge(name: str) -> None:
        if name == "deliver:before":
            raise KeyError  # somebody comes between

    with contextlib.suppress(KeyError):
        await shopfront.run(saga, edge)
    order_id = (await shopfront.view(saga))["order_id"]
    [reservation] = [
        one for one in (await shopfront.tenant.get("/v1/reservations"))["data"] if one["source_id"] == order_id
    ]
    await shopfront.tenant.post(f"/v1/reservations/{reservation['id']}/release")
    await shopfront.tenant.make("stock-adjustments", reason="shelf_collapsed", lines=[line])
    assert await shopfront.until_ended(saga) == "compensated"
    assert [name for name, _, _ in shopfront.asked(saga)] == ["authorise", "capture", "refund", "void"]
    assert shopfront.kept(saga) == 0
    await shopfront.agrees()


async def test_an_order_confirmed_by_somebody_else_stays_confirmed(shopfront: Shopfront) -> None:
    saga = await shopfront.begin(confirm=True)
    shopfront.provider.tell("decline", operation="authorise", payment=f"saga:{saga}")
    assert await shopfront.run(saga) == "compensated"
    order_id = (await shopfront.view(saga))["order_id"]
    assert (await shopfront.tenant.get(f"/v1/sales-orders/{order_id}"))["state"] == "confirmed"
    # What was taken back can be begun again.
    body = {"order_id": order_id, "payment_source": "card_5555"}
    again = await shopfront.tenant.post("/v1/fulfilments", body, 202)
    assert await shopfront.run(again["id"]) == "completed"
    refused = await shopfront.tenant.post("/v1/fulfilments", body, 409)
    assert refused["code"] in ("invalid-state", "already-fulfilled")
    await shopfront.agrees()


async def test_an_order_has_one_fulfilment_at_a_time(shopfront: Shopfront) -> None:
    order = await shopfront.order()
    body = {"order_id": order, "payment_source": "card_4242"}
    first = await shopfront.tenant.post("/v1/fulfilments", body, 202)
    assert (await shopfront.tenant.post("/v1/fulfilments", body, 409))["code"] == "already-fulfilled"
    assert await shopfront.run(first["id"]) == "completed"
