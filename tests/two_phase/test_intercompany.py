"""A sale between two tenants: both halves or neither, whichever databases they live in."""

import asyncio
import uuid
from decimal import Decimal

import pytest

from tests.api.whole.conftest import Newcomer
from tests.two_phase.trading import assert_proven, link, make_pair

PLACES = [("main", "second"), ("second", "main"), ("main", "main"), ("second", "second")]


@pytest.mark.parametrize(("seller", "buyer"), PLACES)
async def test_the_partner_receives_and_is_billed_what_was_sold(newcomer: Newcomer, seller: str, buyer: str) -> None:
    pair = await make_pair(newcomer, seller=seller, buyer=buyer)
    lines = [
        {"product_id": pair.product, "quantity": "3", "unit_price": "10.15", "discount_percent": "2.5"},
        {"product_id": pair.service, "quantity": "2"},
    ]
    sold = await pair.seller.post("/v1/intercompany-sales", {"partner_id": pair.buyer.id, "lines": lines}, 201)
    bought = await pair.buyer.get(f"/v1/intercompany-sales/{sold['id']}")
    assert (sold["side"], bought["side"]) == ("seller", "buyer")
    assert (sold["partner_number"], bought["partner_number"]) == (bought["bill_number"], sold["bill_number"])

    invoice = await pair.seller.get(f"/v1/invoices/{sold['bill_id']}")
    bill = await pair.buyer.get(f"/v1/supplier-bills/{bought['bill_id']}")
    receipt = await pair.buyer.get(f"/v1/goods-receipts/{bought['handover_id']}")
    assert Decimal(invoice["tax"]) > 0
    for amount in ("net", "tax", "gross"):
        assert invoice[amount] == bill[amount] == sold[amount] == bought[amount]
    assert bill["supplier_number"] == invoice["number"]
    assert receipt["value"] == bill["net"]
    assert bill["variance"] == "0.00"
    await assert_proven(pair.seller, pair.buyer)


async def test_both_sides_are_evented_and_audited(newcomer: Newcomer) -> None:
    pair = await make_pair(newcomer)
    sold = await pair.sell()
    [mine] = (await pair.seller.get("/v1/audit-entries", target_id=sold["id"]))["data"]
    [theirs] = (await pair.buyer.get("/v1/audit-entries", target_id=sold["id"]))["data"]
    assert (mine["action"], theirs["action"]) == ("intercompany_sale.sold", "intercompany_sale.bought")
    assert theirs["principal_name"] == f"intercompany:{pair.seller.slug}"
    assert mine["correlation_id"] == theirs["correlation_id"]


async def test_a_repeated_request_sells_once(newcomer: Newcomer) -> None:
    pair = await make_pair(newcomer)
    key = uuid.uuid4().hex
    replies = await asyncio.gather(
        *(
            pair.seller.client.post("/v1/intercompany-sales", json=pair.sale(), headers={"Idempotency-Key": key})
            for _ in range(5)
        )
    )
    assert {reply.status_code for reply in replies} <= {201, 409}
    first = next(reply for reply in replies if reply.status_code == 201)
    again = await pair.sell(key=key)
    assert again == first.json()
    assert set((await pair.counts()).values()) == {1}


@pytest.mark.parametrize("missing", ["seller", "buyer", "both", "direction", "ended"])
async def test_nothing_is_written_without_both_tenants_consent(newcomer: Newcomer, missing: str) -> None:
    pair = await make_pair(newcomer, agreed=False)
    if missing not in ("seller", "both"):
        await link(pair.seller, pair.buyer, customer=True)
    if missing == "ended":
        consent = await link(pair.buyer, pair.seller, customer=False)
        ended = await pair.buyer.client.patch(
            f"/v1/intercompany-links/{consent['id']}", json={"state": "ended"}, headers={"If-Match": '"1"'}
        )
        assert ended.status_code == 200
    elif missing == "direction":
        await link(pair.buyer, pair.seller, customer=True)
    elif missing == "seller":
        await link(pair.buyer, pair.seller, customer=False)
    refused = await pair.sell(expect=409)
    assert refused["code"] == "intercompany-not-agreed"
    assert set((await pair.counts()).values()) == {0}


async def test_a_tenant_there_is_not_is_refused_like_one_that_has_not_agreed(newcomer: Newcomer) -> None:
    pair = await make_pair(newcomer, agreed=False)
    await link(pair.seller, pair.buyer, customer=True)
    stranger = str(uuid.uuid4())
    party = await pair.seller.make("parties", code="X", name="X", is_customer=True)
    await pair.seller.make("intercompany-links", partner_id=stranger, party_id=party["id"], buys=False)
    unknown = await pair.sell(expect=409, partner_id=stranger)
    silent = await pair.sell(expect=409)
    assert {**unknown, "correlation_id": ""} == {**silent, "correlation_id": ""}


async def test_what_the_buyers_books_refuse_undoes_the_sellers_half(newcomer: Newcomer) -> None:
    pair = await make_pair(newcomer)
    for period in (await pair.buyer.get("/v1/periods", limit="200"))["data"]:
        closed = await pair.buyer.client.post(
            f"/v1/periods/{period['id']}/close",
            json={"reason": "year end"},
            headers={"Idempotency-Key": uuid.uuid4().hex},
        )
        assert closed.status_code in (200, 409), closed.text
    key = uuid.uuid4().hex
    refused = await pair.sell(expect=409, key=key, strict_date=True)
    assert refused["code"] == "intercompany-partner-refused"
    assert refused == await pair.sell(expect=409, key=key, strict_date=True)
    assert set((await pair.counts()).values()) == {0}


async def test_a_product_the_buyer_lacks_is_named(newcomer: Newcomer) -> None:
    pair = await make_pair(newcomer)
    lonely = await pair.seller.make("products", code="LONELY", name="L", kind="service", sale_price="1")
    lines = [{"product_id": lonely["id"], "quantity": "1"}]
    refused = await pair.seller.post("/v1/intercompany-sales", {"partner_id": pair.buyer.id, "lines": lines}, 422)
    assert (refused["code"], refused["codes"]) == ("intercompany-no-counterpart", ["LONELY"])
    assert set((await pair.counts()).values()) == {0}


async def test_sales_in_both_directions_at_once_end_whole(newcomer: Newcomer) -> None:
    """What two databases lock for each other no deadlock detector sees: the tenants' turns are taken in one order."""
    there = await make_pair(newcomer)
    back_product = (await there.buyer.get("/v1/products", code="P-1"))["data"][0]["id"]
    line = {"product_id": back_product, "quantity": "100", "unit_cost": "4"}
    await there.buyer.make("stock-adjustments", reason="opening", lines=[line])
    for tenant, partner in ((there.buyer, there.seller), (there.seller, there.buyer)):
        [own] = (await tenant.get("/v1/intercompany-links"))["data"]
        party = await tenant.make("parties", code="BOTH", name="B", is_customer=True, is_supplier=True)
        changed = await tenant.client.patch(
            f"/v1/intercompany-links/{own['id']}",
            json={"party_id": party["id"], "sells": True, "buys": True}, headers={"If-Match": '"1"'},
        )  # fmt: skip
        assert changed.status_code == 200, changed.text
        assert partner.id == own["partner_id"]
    back = {"partner_id": there.seller.id,
            "lines": [{"product_id": back_product, "quantity": "1", "unit_price": "5"}]}  # fmt: skip

    async def until_sold(tenant: object, body: object) -> None:
        key = uuid.uuid4().hex
        for _ in range(20):
            client = tenant.client  # type: ignore[attr-defined]
            reply = await client.post("/v1/intercompany-sales", json=body, headers={"Idempotency-Key": key})
            if reply.status_code == 201:
                return
            assert reply.status_code in (409, 503), reply.text
            await asyncio.sleep(0.05)
        raise AssertionError("never sold")

    work = [until_sold(there.seller, there.sale("1")) for _ in range(4)]
    work += [until_sold(there.buyer, back) for _ in range(4)]
    await asyncio.gather(*work)
    sold = await there.seller.get("/v1/intercompany-sales", count="exact", side="seller")
    bought = await there.seller.get("/v1/intercompany-sales", count="exact", side="buyer")
    assert (sold["count"], bought["count"]) == (4, 4)
    await assert_proven(there.seller, there.buyer)


async def test_a_third_tenant_finds_neither_the_sale_nor_the_agreements(newcomer: Newcomer) -> None:
    pair, stranger = await make_pair(newcomer), await newcomer(database="second")
    sold = await pair.sell()
    [own] = (await pair.seller.get("/v1/intercompany-links"))["data"]
    await stranger.get(f"/v1/intercompany-sales/{sold['id']}", expect=404)
    for tenant in (stranger, pair.buyer):
        await tenant.get(f"/v1/intercompany-links/{own['id']}", expect=404)
        reply = await tenant.client.patch(
            f"/v1/intercompany-links/{own['id']}", json={"state": "ended"}, headers={"If-Match": '"1"'}
        )
        assert reply.status_code == 404
    for path in ("/v1/intercompany-sales", "/v1/intercompany-links"):
        assert (await stranger.get(path))["data"] == []
    # Each side has documents of its own; the other's are not there.
    await pair.buyer.get(f"/v1/invoices/{sold['bill_id']}", expect=404)


async def test_one_tenants_consent_lets_nobody_write_for_another(newcomer: Newcomer) -> None:
    """Somebody who calls itself a partner, with a link of its own, writes nothing for whom it names."""
    pair, rogue = await make_pair(newcomer), await newcomer()
    product = await rogue.make("products", code="P-1", name="P", kind="service", sale_price="1")
    await link(rogue, pair.buyer, customer=True)
    body = {"partner_id": pair.buyer.id, "lines": [{"product_id": product["id"], "quantity": "1"}]}
    refused = await rogue.post("/v1/intercompany-sales", body, 409)
    assert refused["code"] == "intercompany-not-agreed"
    assert set((await pair.counts()).values()) == {0}
