"""What was delivered and cannot be invoiced: goods and cost come back, the money too, and nothing of it stays."""

import contextlib
from decimal import Decimal
from typing import Any

import pytest

from erp.sales.errors import NothingToDo
from tests.fulfilment.conftest import GROSS, Shopfront
from tests.fulfilment.test_crashes import BACK_EDGES, DELIVERED_BACK_EDGES, Killer, delivered, survive
from tests.fulfilment.test_operator import decide, impatient
from workers.sagas import fulfil_order


async def close_the_books(shopfront: Shopfront) -> list[str]:
    """All open periods, as at the end of a year whose successor nobody has opened; those that were open."""
    found = (await shopfront.tenant.get("/v1/periods", limit="200"))["data"]
    ids = [one["id"] for one in found if one["state"] == "open"]
    for period in ids:
        await shopfront.tenant.post(f"/v1/periods/{period}/close", {"reason": "year end"}, 200)
    return ids


async def open_them_again(shopfront: Shopfront, periods: list[str]) -> None:
    for period in periods:
        await shopfront.tenant.post(f"/v1/periods/{period}/reopen", {"reason": "a delivery had no invoice"}, 200)


async def books(shopfront: Shopfront) -> dict[str, Decimal]:
    """The balance of every account that has one."""
    shown = await shopfront.tenant.get("/v1/trial-balance")
    return {one["account"]: Decimal(one["balance"]) for one in shown["accounts"] if Decimal(one["balance"])}


async def on_hand(shopfront: Shopfront) -> dict[str, Decimal]:
    [level] = (await shopfront.tenant.get("/v1/stock-levels", product_id=shopfront.product))["data"]
    return {name: Decimal(level[name]) for name in ("on_hand", "reserved", "available")}


async def assert_taken_back(shopfront: Shopfront, saga: str, before: tuple[Any, Any]) -> None:
    """Goods, cost of goods and money are where they were; the papers say what happened."""
    view = await shopfront.view(saga)
    assert view["state"] == "compensated"
    [delivery] = (await shopfront.tenant.get("/v1/deliveries", order_id=view["order_id"]))["data"]
    [receipt] = (await shopfront.tenant.get("/v1/returns", order_id=view["order_id"]))["data"]
    assert (receipt["delivery_id"], receipt["cost"]) == (delivery["id"], delivery["cost"])
    assert Decimal(receipt["cost"]) == 8
    assert receipt["reason"] == fulfil_order.REASON
    [line] = (await shopfront.tenant.get(f"/v1/returns/{receipt['id']}"))["lines"]
    assert Decimal(line["quantity"]) == 2
    steps = {one["name"]: one for one in view["steps"]}
    assert steps["deliver"]["undo_result"] == {"return_id": receipt["id"], "number": receipt["number"]}
    assert (await books(shopfront), await on_hand(shopfront)) == before
    assert [(name, accepted) for name, accepted, _ in shopfront.asked(saga)] == [
        ("authorise", True), ("capture", True), ("refund", True), ("void", True),
    ]  # fmt: skip
    assert shopfront.kept(saga) == 0
    await shopfront.agrees()


async def test_books_closed_after_the_delivery_give_goods_and_money_back(shopfront: Shopfront) -> None:
    """The invoice is refused for good; the return waits for the books, and the refund for the return."""
    before = (await books(shopfront), await on_hand(shopfront))
    saga = await delivered(shopfront)
    assert (await on_hand(shopfront))["on_hand"] == before[1]["on_hand"] - 2
    assert await books(shopfront) != before[0]
    periods = await close_the_books(shopfront)
    assert await shopfront.run(saga) == "compensating"
    view = await shopfront.view(saga)
    steps = {one["name"]: one["state"] for one in view["steps"]}
    assert steps == {
        "reserve": "done", "authorise": "done", "capture": "done", "deliver": "done", "invoice": "refused"
    }  # fmt: skip
    assert view["error"]["code"] == "no-open-period"
    assert shopfront.kept(saga) == GROSS
    await open_them_again(shopfront, periods)
    assert await shopfront.until_ended(saga) == "compensated"
    assert set((await shopfront.states(saga)).values()) == {"undone", "refused"}
    assert await shopfront.documents(saga) == {"deliveries": 1, "returns": 1, "invoices": 0}
    await assert_taken_back(shopfront, saga, before)


async def test_dying_while_a_delivery_is_taken_back_changes_nothing_in_the_end(shopfront: Shopfront) -> None:
    before = (await books(shopfront), await on_hand(shopfront))
    for edge in DELIVERED_BACK_EDGES:
        saga = await refused_its_invoice(shopfront)
        assert await survive(shopfront, saga, Killer(shopfront, edge=edge)), edge
        await assert_taken_back(shopfront, saga, before)


async def refused_its_invoice(shopfront: Shopfront) -> str:
    """Everything of it is to be taken back, and can be."""
    saga = await delivered(shopfront)
    periods = await close_the_books(shopfront)
    assert await shopfront.run(saga) == "compensating"
    await open_them_again(shopfront, periods)
    return saga


async def test_no_edge_of_a_saga_taken_back_is_left_out(shopfront: Shopfront) -> None:
    saga, killer = await refused_its_invoice(shopfront), Killer(shopfront)
    assert await shopfront.run(saga, killer.edge, killer.transact) == "compensated"
    assert killer.edges == [*DELIVERED_BACK_EDGES, *BACK_EDGES]


async def test_goods_somebody_has_taken_back_already_are_not_waited_for(shopfront: Shopfront) -> None:
    """The customer is at the counter before the invoice is written: nothing is left to invoice, nor to return."""
    before = (await books(shopfront), await on_hand(shopfront))
    saga = await delivered(shopfront)
    order = (await shopfront.view(saga))["order_id"]
    [delivery] = (await shopfront.tenant.get("/v1/deliveries", order_id=order))["data"]
    await shopfront.tenant.post(f"/v1/deliveries/{delivery['id']}/returns", {"reason": "wrong colour"})
    assert await shopfront.until_ended(saga) == "compensated"
    assert await shopfront.documents(saga) == {"deliveries": 1, "returns": 1, "invoices": 0}
    assert (await books(shopfront), await on_hand(shopfront)) == before
    assert shopfront.kept(saga) == 0
    await shopfront.agrees()


async def test_an_operator_has_an_invoiced_fulfilment_taken_back(shopfront: Shopfront) -> None:
    """It died after every attempt to end: all of it happened, nobody wrote that down, and people decide."""
    before = (await books(shopfront), await on_hand(shopfront))
    saga, patient = await shopfront.begin(), shopfront.sagas
    with contextlib.suppress(KeyError):
        await shopfront.run(saga, dying_at("invoice:after"))
    impatient(shopfront)
    assert await shopfront.run(saga) == "needs_operator"
    shopfront.sagas = patient
    await decide(shopfront, saga, "compensate")
    killer = Killer(shopfront)
    assert await shopfront.run(saga, killer.edge, killer.transact) == "compensated"
    assert killer.edges == ["undo-invoice:before", "undo-invoice:after", *DELIVERED_BACK_EDGES, *BACK_EDGES]
    order = (await shopfront.view(saga))["order_id"]
    papers = (await shopfront.tenant.get("/v1/invoices", order_id=order))["data"]
    assert sorted(one["kind"] for one in papers) == ["credit_note", "invoice"]
    [payment] = (await shopfront.tenant.get("/v1/payments", party_id=shopfront.customer))["data"]
    assert payment["state"] == "reversed"
    assert (await shopfront.tenant.get("/v1/open-items", party_id=shopfront.customer, open="true"))["data"] == []
    await assert_taken_back(shopfront, saga, before)


def dying_at(edge: str) -> Any:
    def die(name: str) -> None:
        if name == edge:
            raise KeyError

    return die


async def test_planted_a_return_that_is_left_out_is_found(
    shopfront: Shopfront, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (await books(shopfront), await on_hand(shopfront))
    saga = await refused_its_invoice(shopfront)

    async def nothing(work: Any, delivery_id: Any, data: Any) -> Any:
        raise NothingToDo

    monkeypatch.setattr(fulfil_order, "return_delivery", nothing)
    assert await shopfront.until_ended(saga) == "compensated"
    assert shopfront.kept(saga) == 0
    with pytest.raises(AssertionError):
        assert (await books(shopfront), await on_hand(shopfront)) == before
