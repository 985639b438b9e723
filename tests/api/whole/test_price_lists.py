"""Price lists through the API: what a customer pays, and that a price that was changed is never shown again."""

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from db.counting import RoundTrips, round_trips
from erp.app import build_app
from erp.http import cache_tags
from erp.settings import load_settings
from tenancy.cache.service import TenantCache
from tests.api.whole.conftest import Newcomer, Tenant, client_of, running, settings_environment
from tests.api.whole.test_cached_reads import old_redis
from tests.services import Services

__all__ = ["old_redis"]

FOREVER = "2020-01-01"


def item(product_id: str, unit_price: str, from_: str = "1", start: str = FOREVER, end: str | None = None) -> Any:
    return {
        "product_id": product_id, "min_quantity": from_, "unit_price": unit_price, "valid_from": start,
        "valid_to": end,
    }  # fmt: skip


class Market:
    """A customer with a price list, and a lamp that costs 10 without one."""

    def __init__(self, tenant: Tenant, price_list: str, customer: str, lamp: str) -> None:
        self.tenant, self.price_list, self.customer, self.lamp = tenant, price_list, customer, lamp
        self.path = f"/v1/price-lists/{price_list}"

    async def put(self, *items: Any, expect: int = 200) -> Any:
        return await self.tenant.post(f"{self.path}/items", {"items": list(items)}, expect)

    async def ask(self, quantity: str = "1", client: httpx.AsyncClient | None = None, **more: str) -> Any:
        asked = {"party_id": self.customer, "product_id": self.lamp, "quantity": quantity, **more}
        reply = await (client or self.tenant.client).get("/v1/prices", params=asked)
        assert reply.status_code == 200, reply.text
        return reply.json()

    async def change(self, path: str, **fields: Any) -> Any:
        etag = (await self.tenant.client.get(path)).headers["etag"]
        reply = await self.tenant.client.patch(path, json=fields, headers={"If-Match": etag})
        assert reply.status_code == 200, reply.text
        return reply.json()


async def open_market(tenant: Tenant) -> Market:
    prices = await tenant.make("price-lists", code="TRADE", name="Trade")
    party = {"code": "C", "name": "Customer", "is_customer": True, "price_list_id": prices["id"]}
    customer = await tenant.make("parties", **party)
    lamp = await tenant.make("products", code="LAMP", name="Lamp", sale_price="10")
    return Market(tenant, prices["id"], customer["id"], lamp["id"])


@pytest.fixture
async def market(tenant: Tenant) -> Market:
    return await open_market(tenant)


@pytest.fixture
async def elsewhere(services: Services, market: Market) -> AsyncIterator[httpx.AsyncClient]:
    """Another instance, asked by somebody who has written nothing."""
    reader = await market.tenant.make("api-keys", name="reader", role="auditor")
    app = build_app(load_settings(settings_environment(services, "other")))
    async with running(app), client_of(app, reader["secret"]) as client:
        yield client


class TestWhatACustomerPays:
    async def test_an_order_is_priced_as_the_price_was_said_to_be(self, market: Market) -> None:
        await market.put(
            item(market.lamp, "9"),
            item(market.lamp, "8", "10"),
            item(market.lamp, "1", end="2020-12-31", start="2019-01-01", from_="5"),
        )
        said = [await market.ask(quantity) for quantity in ("9", "10", "1000")]
        lines = [{"product_id": market.lamp, "quantity": one["quantity"]} for one in said]
        order = await market.tenant.make("sales-orders", party_id=market.customer, lines=lines)
        assert (
            [line["unit_price"] for line in order["lines"]] == [one["unit_price"] for one in said] == ["9", "8", "8"]
        )
        assert said[1]["listed"] == {
            "price_list_id": market.price_list, "code": "TRADE", "min_quantity": "10", "unit_price": "8",
            "valid_from": FOREVER, "valid_to": None,
        }  # fmt: skip
        assert (said[1]["source"], said[1]["currency"]) == ("price_list", "GBP")

    async def test_without_a_price_in_the_list_the_products_own_counts(self, market: Market) -> None:
        await market.put(item(market.lamp, "9", "5"))
        own = await market.ask("4")
        assert (own["unit_price"], own["source"], own["listed"]) == ("10", "product", None)
        await market.change(market.path, active=False)
        assert (await market.ask("5"))["source"] == "product"

    async def test_another_unit_is_priced_by_what_it_amounts_to(self, market: Market) -> None:
        units = [{"unit": "box", "numerator": 12}]
        await market.change(f"/v1/products/{market.lamp}", units=units)
        await market.put(item(market.lamp, "9"), item(market.lamp, "8", "24"))
        one, two = await market.ask("1", unit_code="box"), await market.ask("2", unit_code="box")
        assert (one["unit_price"], two["unit_price"], two["base_quantity"]) == ("108", "96", "24")

    async def test_the_day_that_is_asked_for_counts(self, market: Market) -> None:
        await market.put(item(market.lamp, "9", start="2026-02-01", end="2026-02-28"))
        days = {"2026-01-31": "10", "2026-02-01": "9", "2026-02-28": "9", "2026-03-01": "10"}
        assert {day: (await market.ask(date=day))["unit_price"] for day in days} == days

    async def test_a_recurring_order_may_rely_on_the_list(self, market: Market) -> None:
        bare = await market.tenant.make("products", code="BARE", name="Bare")
        order = {"party_id": market.customer, "lines": [{"product_id": bare["id"], "quantity": "5"}]}
        body = {"name": "Weekly", "cron": "0 6 * * 1", "order": order}
        problem = await market.tenant.post("/v1/recurring-orders", body, 422)
        assert (problem["code"], problem["pointer"]) == ("price-unknown", "/order/lines/0/unit_price")
        await market.put(item(bare["id"], "3", "5"))
        assert (await market.tenant.post("/v1/recurring-orders", body, 201))["state"] == "active"

    async def test_what_cannot_be_sold_has_no_price(self, market: Market) -> None:
        supplier = await market.tenant.make("parties", code="S", name="Supplier", is_supplier=True)
        bare = await market.tenant.make("products", code="BARE", name="Bare")
        for asked, status, code, pointer in (
            ({"party_id": str(uuid.uuid4())}, 422, "unknown-reference", "party_id"),
            ({"party_id": supplier["id"]}, 422, "not-a-customer", "party_id"),
            ({"product_id": str(uuid.uuid4())}, 422, "unknown-reference", "product_id"),
            ({"product_id": bare["id"]}, 422, "price-unknown", "product_id"),
            ({"unit_code": "kg"}, 422, "product-not-in-unit", "unit_code"),
            ({"quantity": "1.5"}, 422, "quantity-not-representable", "quantity"),
            ({"quantity": "0"}, 422, "invalid-amount", "quantity"),
            ({"quantity": "many"}, 422, "invalid-amount", "quantity"),
            ({"day": "2026-01-01"}, 422, "unknown-field", "day"),
        ):  # fmt: skip
            whole = {"party_id": market.customer, "product_id": market.lamp, **asked}
            problem = (await market.tenant.client.get("/v1/prices", params=whole)).json()
            assert (problem["status"], problem["code"], problem["pointer"]) == (status, code, pointer), problem

    async def test_prices_are_for_who_may_read_products_and_parties(self, market: Market) -> None:
        key = await market.tenant.make("api-keys", name="k", role="custom", scopes=["products:read"])
        asked = {"party_id": market.customer, "product_id": market.lamp}
        headers = {"Authorization": f"Bearer {key['secret']}"}
        reply = await market.tenant.client.get("/v1/prices", params=asked, headers=headers)
        assert (reply.status_code, reply.json()["code"]) == (403, "forbidden")


class TestKeepingALists:
    async def test_a_new_price_ends_the_present_one_in_one_request(self, market: Market) -> None:
        await market.put(item(market.lamp, "9"))
        refused = await market.put(item(market.lamp, "9.5", start="2030-01-01"), expect=422)
        assert (refused["code"], refused["pointer"]) == ("prices-overlap", "/items/0/valid_from")
        await market.put(item(market.lamp, "9", end="2029-12-31"), item(market.lamp, "9.5", start="2030-01-01"))
        listed = await market.tenant.get(f"{market.path}/items", product_id=market.lamp, sort="valid_from")
        spans = [(one["unit_price"], one["valid_from"], one["valid_to"]) for one in listed["data"]]
        assert spans == [("9", FOREVER, "2029-12-31"), ("9.5", "2030-01-01", None)]

    async def test_setting_the_same_again_changes_nothing(self, market: Market) -> None:
        first, again = [await market.put(item(market.lamp, "9")) for _ in range(2)]
        assert (first, again["version"]) == (again, 2)
        events = (await market.tenant.get("/v1/events", type="price_list.items_changed"))["data"]
        assert len(events) == 1

    async def test_an_old_version_is_refused(self, market: Market) -> None:
        body = {"items": [item(market.lamp, "9")]}
        stale = {"Idempotency-Key": uuid.uuid4().hex, "If-Match": '"7"'}
        reply = await market.tenant.client.post(f"{market.path}/items", json=body, headers=stale)
        assert (reply.status_code, reply.json()["current_version"]) == (412, 1)
        reply = await market.tenant.client.post(f"{market.path}/items", json=body, headers={"If-Match": '"1"'})
        assert (reply.status_code, reply.headers["etag"]) == (200, '"2"')
        ids = {"item_ids": [reply.json()["items"][0]["id"]]}
        path = f"{market.path}/items/remove"
        assert (await market.tenant.client.post(path, json=ids, headers={"If-Match": '"1"'})).status_code == 412
        assert (await market.tenant.post(path, ids))["version"] == 3
        assert (await market.tenant.get(f"{market.path}/items"))["data"] == []

    async def test_prices_are_paged_through(self, market: Market) -> None:
        await market.put(*(item(market.lamp, str(number), str(number)) for number in range(1, 8)))
        seen: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = await market.tenant.get(f"{market.path}/items", 200, limit="3", **cursor)
            seen += [one["min_quantity"] for one in page["data"]]
            if not page["has_more"]:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert sorted(seen) == [str(number) for number in range(1, 8)]

    async def test_other_currencies_and_other_tenants_lists_are_refused(
        self, market: Market, newcomer: Newcomer
    ) -> None:
        body = {"code": "E", "name": "Euro", "currency": "EUR"}
        problem = await market.tenant.post("/v1/price-lists", body, 422)
        assert (problem["code"], problem["currency"]) == ("currency-not-kept", "GBP")
        stranger = await newcomer()
        party = {"code": "C", "name": "C", "is_customer": True, "price_list_id": market.price_list}
        problem = await stranger.post("/v1/parties", party, 422)
        assert (problem["code"], problem["pointer"]) == ("unknown-reference", "/price_list_id")
        await market.change(market.path, active=False)
        problem = await market.tenant.post("/v1/parties", {**party, "code": "D"}, 422)
        assert (problem["code"], problem["pointer"]) == ("price-list-inactive", "/price_list_id")

    async def test_lists_are_made_from_a_stream(self, market: Market) -> None:
        rows = [{"key": f"list:{n}", "data": {"code": f"L{n}", "name": "List"}} for n in range(2)]
        content = "".join(json.dumps(row) + "\n" for row in rows)
        headers = {"Content-Type": "application/x-ndjson"}
        reply = await market.tenant.client.post("/v1/bulk/price-lists", content=content, headers=headers)
        assert [json.loads(answer)["status"] for answer in reply.text.splitlines()] == [201, 201]
        assert len((await market.tenant.get("/v1/price-lists", active="true"))["data"]) == 3

    async def test_a_batch_makes_a_list_its_prices_and_its_customer(self, market: Market) -> None:
        operations = [
            {"op": "price_lists.create", "data": {"code": "VIP", "name": "VIP"}},
            {
                "op": "price_lists.set_items",
                "target": {"$from": 0},
                "data": {"items": [item(market.lamp, "5")]},
            },
        ]
        made = await market.tenant.post("/v1/batch", {"operations": operations})
        assert made["results"][1]["data"]["version"] == 2


@pytest.mark.usefixtures("old_redis")
class TestCached:
    async def test_the_second_question_reaches_no_database(
        self, market: Market, elsewhere: httpx.AsyncClient
    ) -> None:
        await market.put(item(market.lamp, "9"), item(market.lamp, "8", "10"))
        paths = (market.path, "/v1/price-lists", f"{market.path}/items")
        for _ in range(3):
            shown = [(await elsewhere.get(path)).text for path in paths]
            assert (await market.ask("1", elsewhere))["unit_price"] == "9"
        round_trips.set(counter := RoundTrips())
        assert (await market.ask("12", elsewhere))["unit_price"] == "8", "another quantity, the same facts"
        assert [(await elsewhere.get(path)).text for path in paths] == shown
        round_trips.set(None)
        assert counter.postgres == 0

    async def test_every_change_is_seen_at_once_through_another_instance(
        self, market: Market, elsewhere: httpx.AsyncClient
    ) -> None:
        async def sees(price: str) -> None:
            assert (await market.ask("1", elsewhere))["unit_price"] == price
            assert (await market.ask("1"))["unit_price"] == price

        await sees("10")
        there = await market.put(item(market.lamp, "9"))
        await sees("9")
        await market.put(item(market.lamp, "8"))
        await sees("8")
        await market.change(market.path, active=False)
        await sees("10")
        await market.change(f"/v1/products/{market.lamp}", sale_price="11")
        await sees("11")
        await market.change(market.path, active=True)
        await sees("8")
        await market.change(f"/v1/parties/{market.customer}", price_list_id=None)
        await sees("11")
        await market.change(f"/v1/parties/{market.customer}", price_list_id=market.price_list)
        await sees("8")
        await market.tenant.post(f"{market.path}/items/remove", {"item_ids": [there["items"][0]["id"]]})
        await sees("11")
        shown = await elsewhere.get(f"{market.path}/items")
        assert shown.json()["data"] == []

    async def test_a_fill_from_before_a_change_is_refused(
        self, market: Market, elsewhere: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Somebody has read the old price; it is changed; only then they would store what they have read."""
        real, changes = TenantCache._fill, [item(market.lamp, "9")]

        async def late(cache: TenantCache, ask: Any, looked: Any, cached: Any) -> None:
            if ask.entry.kind == "price" and changes:
                await market.put(changes.pop())
            await real(cache, ask, looked, cached)

        monkeypatch.setattr(TenantCache, "_fill", late)
        assert (await market.ask("1", elsewhere))["unit_price"] == "10"
        assert changes == []
        assert (await market.ask("1", elsewhere))["unit_price"] == "9"

    async def test_a_price_that_its_lists_change_does_not_end_would_be_shown_on(
        self, market: Market, elsewhere: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The planted bug: a change of a list ends what is cached of this list only, not the prices it makes."""
        assert (await market.ask("1", elsewhere))["unit_price"] == "10"
        monkeypatch.setitem(cache_tags._MOVED, "price_list", lambda key: (f"price_list:{key.hex}",))
        await market.put(item(market.lamp, "9"))
        assert (await market.ask("1", elsewhere))["unit_price"] == "10", "stale"

    async def test_prices_are_dropped_by_their_strategy(self, market: Market, elsewhere: httpx.AsyncClient) -> None:
        dropped = await market.tenant.post("/v1/cache/invalidations", {"reason": "r", "strategy": "price-updates"})
        assert set(dropped["tags"]) == {"tax_group:all", "product:all", "price_list:all"}
        pattern = {"reason": "r", "pattern": f"price_list:{market.price_list}"}
        assert "price_list:any" in (await market.tenant.post("/v1/cache/invalidations", pattern))["tags"]
