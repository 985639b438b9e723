"""The bus: read models follow the documents, once for each event, whatever happens on the way."""

import asyncio
import random
import signal
import uuid
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from erp.projections import applying
from erp.projections.building import purge, read_history, switch
from erp.projections.checking import check_projections
from erp.projections.consumers import CONSUMERS
from erp.projections.definition import Consumer
from erp.projections.repository import ADD_RECEIPTS, ENSURE_GENERATION
from tenancy.database import TenantDatabase
from tenancy.platform import PlatformDatabase
from tenancy.trail import Event
from tests.api.whole.conftest import Tenant
from tests.api.whole.trading import stocked_product
from tests.eventstore.busride import Ride, of
from tests.services import Services
from tests.workers.conftest import Processes, Tables, signal_group

pytestmark = pytest.mark.usefixtures("clean")


@pytest.fixture
def ride(services: Services, platform: PlatformDatabase, database: TenantDatabase) -> Ride:
    return Ride(services, platform, database)


class Shop:
    """Sells at a counter; every sale is an order, a delivery and a posted invoice."""

    def __init__(self, tenant: Tenant, product: Any, customer: Any) -> None:
        self.tenant, self.product, self.customer = tenant, product, customer

    @classmethod
    async def of(cls, tenant: Tenant) -> "Shop":
        product = await stocked_product(tenant, "P", "1000")
        return cls(tenant, product, await tenant.make("parties", code="C", name="Customer", is_customer=True))

    async def sell(self, quantity: str = "1") -> Any:
        line = {"product_id": self.product["id"], "quantity": quantity}
        return await self.tenant.make("direct-sales", party_id=self.customer["id"], lines=[line])

    async def pay(self, sale: Any) -> None:
        share = {"invoice_id": sale["invoice_id"], "amount": sale["gross"]}
        await self.tenant.make(
            "payments", direction="in", party_id=self.customer["id"], amount=sale["gross"], allocations=[share]
        )


async def sums(tables: Tables, tenant: Tenant) -> tuple[int, Any, Any]:
    """Documents, net and what is owed, as the read models show them."""
    live = "g.consumer = %(name)s AND g.tenant_id = t.tenant_id AND g.state = 'live' AND g.generation = t.generation"
    [sold] = tables.rows(
        "SELECT coalesce(sum(documents), 0) AS documents, coalesce(sum(net), 0) AS net FROM sales_by_day t"
        f" JOIN event_generations g ON {live} WHERE t.tenant_id = %(id)s", name="sales", id=tenant.id,
    )  # fmt: skip
    owed = tables.value(
        f"SELECT coalesce(sum(open_amount), 0) FROM receivables t JOIN event_generations g ON {live}"
        " WHERE t.tenant_id = %(id)s", name="receivables", id=tenant.id,
    )  # fmt: skip
    return sold["documents"], sold["net"], owed


async def test_read_models_follow_the_documents(ride: Ride, tenant: Tenant, tables: Tables) -> None:
    shop = await Shop.of(tenant)
    sales = [await shop.sell("2") for _ in range(3)]
    await shop.pay(sales[0])
    await ride.follow()
    assert await sums(tables, tenant) == (3, 60, 40)
    assert await ride.deviations(tenant) == []
    await ride.settle(tables)
    assert tables.value("SELECT count(*) FROM event_receipts WHERE tenant_id = %(id)s", id=tenant.id) == 0
    await ride.redis.xgroup_destroy("events", "sales")
    await ride.follow()
    assert await sums(tables, tenant) == (3, 60, 40), "the whole stream again changes nothing"


async def test_reports_show_the_read_models_and_how_old_they_may_be(
    ride: Ride, tenant: Tenant, tables: Tables
) -> None:
    shop = await Shop.of(tenant)
    sale = await shop.sell("2")
    await shop.sell("3")
    await shop.pay(sale)
    await ride.follow()
    await ride.settle(tables)
    found = await check_projections(ride.database, of(tenant))
    assert (found.checked, found.incomplete, found.differing) == (5, 0, 0), found.first
    tables.rows("UPDATE receivables SET open_amount = 1 WHERE tenant_id = %(id)s", id=tenant.id)
    spoilt = await check_projections(ride.database, of(tenant))
    assert (spoilt.differing, spoilt.first and spoilt.first.aggregate_type) == (1, "receivables")
    tables.rows("UPDATE receivables SET open_amount = 30 WHERE tenant_id = %(id)s", id=tenant.id)
    [day] = (await tenant.get("/v1/reports/sales-by-day"))["data"]
    assert (day["documents"], day["net"], day["gross"]) == (2, "50.00", "50.00")
    [product] = (await tenant.get("/v1/reports/sales-by-product", product_id=shop.product["id"]))["data"]
    assert (product["quantity"], product["net"]) == ("5", "50.00")
    [customer] = (await tenant.get("/v1/reports/sales-by-customer"))["data"]
    assert (customer["party_id"], customer["net"]) == (shop.customer["id"], "50.00")
    [moved] = (await tenant.get("/v1/reports/stock-movements"))["data"]
    assert (moved["adjusted"], moved["delivered"], moved["value"]) == ("1000", "-5", "3980.00")
    reply = await tenant.client.get("/v1/reports/receivables-ageing")
    [owed] = reply.json()["data"]
    assert (owed["not_due"], owed["total"]) == ("30.00", "30.00")
    assert 0 <= float(reply.headers["as-of-age"]) < 60
    assert reply.headers["as-of-complete"] == "true"
    state = await tenant.get("/v1/projections/sales")
    assert (state["as_of"]["generation"], state["as_of"]["complete"], state["building"]) == (1, True, None)
    assert int(reply.headers["as-of-position"]) > 0
    await tenant.get("/v1/projections/nothing", 404)


async def test_a_consumer_reading_past_a_transaction_held_open_loses_nothing(
    ride: Ride, tenant: Tenant, tables: Tables, database: TenantDatabase
) -> None:
    """The stream is lost too, so that only the feed can bring what comes late."""
    shop = await Shop.of(tenant)
    await ride.settle(tables)
    opened, proceed = asyncio.Event(), asyncio.Event()

    async def hold(work: Any) -> None:
        work.publish(Event("held", uuid.uuid4(), 1, "held.open", {}))
        work._leave_trail()
        await work.load()
        opened.set()
        await proceed.wait()

    holding = asyncio.create_task(database.run(of(tenant), hold))
    await asyncio.wait_for(opened.wait(), 10)
    by_position = tables.value("SELECT max(position) FROM events")
    await shop.sell()
    last = tables.value("SELECT max(position) FROM events")
    await ride.publish()
    await ride.redis.flushdb()
    await ride.settle_once()
    assert await sums(tables, tenant) == (0, 0, 0), "not below the horizon yet"
    confirmed = "SELECT xid < (SELECT min(xid) FROM events WHERE position > %(at)s) FROM event_consumers"
    assert all(row["?column?"] for row in tables.rows(f"{confirmed} WHERE name = 'sales'", at=by_position))
    proceed.set()
    await holding
    held = tables.value("SELECT position FROM events WHERE type = 'held.open' AND tenant_id = %(id)s", id=tenant.id)
    assert held < last, "it committed later, with a lower position: beyond what a reader by position had seen"
    await ride.settle(tables)
    assert await sums(tables, tenant) == (1, 10, 10)


async def test_nothing_is_lost_when_redis_loses_everything_during_load(
    ride: Ride, tenant: Tenant, tables: Tables
) -> None:
    shop = await Shop.of(tenant)
    ending = asyncio.Event()

    async def follow() -> None:
        while not ending.is_set():
            await ride.relay.publish()
            for member in ride.members.values():
                await member.step()

    async def lose() -> None:
        for _ in range(8):
            await asyncio.sleep(0.1)
            await ride.redis.flushdb()

    following, losing = asyncio.create_task(follow()), asyncio.create_task(lose())
    for _ in range(6):
        await asyncio.gather(*(shop.sell() for _ in range(4)))
    await losing
    ending.set()
    await following
    await ride.publish()
    await ride.redis.flushdb()
    await ride.settle(tables)
    assert await sums(tables, tenant) == (24, 240, 240)
    assert await ride.deviations(tenant) == []


async def test_projectors_killed_at_random_apply_every_event_once(
    processes: Processes, ride: Ride, tenant: Tenant, tables: Tables
) -> None:
    """Coordinators, each a member of every group, are killed while they deliver; others come."""
    shop = await Shop.of(tenant)
    running = [processes.coordinator() for _ in range(2)]
    dice = random.Random(7)
    for _ in range(3):
        await asyncio.gather(*(shop.sell() for _ in range(6)))
        victim = dice.randrange(2)
        signal_group(running[victim], signal.SIGKILL)
        running[victim] = processes.coordinator()
    await tables.until(
        "SELECT coalesce(sum(documents), 0) = 18 FROM sales_by_day WHERE tenant_id = %(id)s", 40, id=tenant.id
    )
    await tables.until(
        "SELECT coalesce(sum(open_amount), 0) = 180 FROM receivables WHERE tenant_id = %(id)s", 40, id=tenant.id
    )
    await ride.settle(tables)
    assert await ride.deviations(tenant) == []


async def test_a_projection_is_rebuilt_from_zero_while_it_is_shown(
    ride: Ride, tenant: Tenant, tables: Tables, database: TenantDatabase
) -> None:
    shop = await Shop.of(tenant)
    for _ in range(3):
        await shop.sell()
    await ride.follow()
    tables.rows("UPDATE sales_by_day SET net = net + 7 WHERE tenant_id = %(id)s", id=tenant.id)
    [(_, table_key, stored, told)] = await ride.deviations(tenant)
    assert (stored.split(" / ")[1], told.split(" / ")[1]) == ("37.00", "30.00"), table_key
    built = await tenant.post("/v1/projection-rebuilds", {"projection": "sales"}, 202)
    assert (built["generation"], built["state"]) == (2, "building")
    await tenant.post("/v1/projection-rebuilds", {"projection": "sales"}, 409)
    sales = CONSUMERS["sales"]
    await shop.sell()  # into both generations, or into history: never twice
    await ride.follow()
    assert (await sums(tables, tenant))[:2] == (4, 47), "the old one is still shown, and follows"
    assert await in_steps(database, tenant, lambda work: read_history(work, sales, 2)) == 1
    await shop.sell()
    await ride.settle(tables)
    await in_steps(database, tenant, lambda work: switch(work, sales, 2), until=True)
    assert (await sums(tables, tenant))[:2] == (5, 50)
    assert await ride.deviations(tenant) == []
    await in_steps(database, tenant, lambda work: purge(work, sales, 1))
    left = "SELECT count(*) FROM sales_by_day WHERE tenant_id = %(id)s AND generation = 1"
    assert tables.value(left, id=tenant.id) == 0
    await shop.sell()
    await ride.follow()
    assert (await sums(tables, tenant))[:2] == (6, 60)


async def in_steps(database: TenantDatabase, tenant: Tenant, step: Any, *, until: bool = False) -> int:
    """Until the step says so; how many it took."""
    for number in range(1, 100):
        if (await database.run(of(tenant), step)).value == until:
            return number
    raise AssertionError("without an end")


async def test_a_part_of_history_is_replayed_where_that_changes_nothing(
    ride: Ride, tenant: Tenant, tables: Tables, database: TenantDatabase
) -> None:
    shop = await Shop.of(tenant)
    await shop.sell()
    await ride.follow()
    tables.rows("DELETE FROM receivables WHERE tenant_id = %(id)s", id=tenant.id)
    refused = await tenant.post("/v1/event-replays", {"consumer": "sales", "from_position": 0}, 409)
    assert refused["code"] == "needs-rebuild"
    await tenant.post("/v1/event-replays", {"consumer": "receivables"}, 422)
    since = "2020-01-01T00:00:00Z"
    replay = await tenant.post("/v1/event-replays", {"consumer": "receivables", "from_time": since}, 202)
    assert replay["state"] == "replaying"
    receivables = CONSUMERS["receivables"]
    await in_steps(database, tenant, lambda work: read_history(work, receivables, replay["generation"]))
    await in_steps(database, tenant, lambda work: switch(work, receivables, replay["generation"]), until=True)
    assert (await sums(tables, tenant))[2] == 10
    assert await ride.deviations(tenant) == []


async def test_history_is_replayed_from_a_position_on_and_no_further_back(
    ride: Ride, tenant: Tenant, tables: Tables, database: TenantDatabase
) -> None:
    """Of three items that were lost from the read model those behind the position come back."""
    shop, receivables = await Shop.of(tenant), CONSUMERS["receivables"]
    sales = [await shop.sell(quantity) for quantity in ("1", "2", "3")]
    await ride.follow()
    tables.rows("DELETE FROM receivables WHERE tenant_id = %(id)s", id=tenant.id)
    posted = "SELECT position FROM events WHERE aggregate_id = %(id)s AND type = 'invoice.posted'"
    first, second = [tables.value(posted, id=sale["invoice_id"]) for sale in sales[:2]]
    for position, owed in ((second, 30), (first, 50), (0, 60)):
        told = {"consumer": "receivables", "from_position": position, "reason": "items were lost"}
        replay = await tenant.post("/v1/event-replays", told, 202)
        assert (replay["state"], replay["from_position"]) == ("replaying", position)
        number = replay["generation"]
        await in_steps(database, tenant, lambda work, number=number: read_history(work, receivables, number))
        await in_steps(database, tenant, lambda work, number=number: switch(work, receivables, number), until=True)
        assert (await sums(tables, tenant))[2] == owed
    assert await ride.deviations(tenant) == []
    for consumer in ("sales", "stock-movements"):
        refused = await tenant.post("/v1/event-replays", {"consumer": consumer, "from_position": second}, 409)
        assert refused["code"] == "needs-rebuild"
    both = {"consumer": "receivables", "from_position": 0, "from_time": "2020-01-01T00:00:00Z"}
    await tenant.post("/v1/event-replays", both, 422)


def refusing(*, times: int = 1_000) -> tuple[Consumer, list[int]]:
    """The consumer of sales, unable to take anything for so many attempts; and how often it was asked."""
    real, asked = CONSUMERS["sales"], [0]

    def apply(work: Any, generation: int, events: Any) -> None:
        asked[0] += 1
        if asked[0] <= times:
            raise ValueError("cannot")
        real.apply(work, generation, events)

    return replace(real, apply=apply), asked


async def test_what_cannot_be_applied_becomes_a_dead_letter_and_keeps_no_other(
    services: Services, platform: PlatformDatabase, database: TenantDatabase, tenant: Tenant, tables: Tables
) -> None:
    shop = await Shop.of(tenant)
    await shop.sell()
    stubborn, asked = refusing()
    ride = Ride(services, platform, database, {**CONSUMERS, "sales": stubborn})
    await ride.follow()
    assert (await sums(tables, tenant))[2] == 10, "the other consumers went on"
    await ride.settle(tables)
    [letter] = (await tenant.get("/v1/dead-letters", state="dead"))["data"]
    assert (letter["attempts"], letter["error_code"], asked[0]) == (2, "ValueError", 2)
    await shop.sell()
    healthy = Ride(services, platform, database)
    await healthy.follow()
    assert (await sums(tables, tenant))[:2] == (1, 10), "what came later has its effect"
    path = f"/v1/dead-letters/{letter['id']}"
    replayed = await tenant.post(f"{path}/replay", {"reason": "fixed"})
    assert replayed["state"] == "replayed"
    await tenant.post(f"{path}/replay", {"reason": "again"}, 409)
    await tenant.post(f"{path}/discard", {"reason": "again"}, 409)
    await healthy.redis.xgroup_destroy("events", "sales")
    await healthy.follow()
    await healthy.settle(tables)
    assert (await sums(tables, tenant))[:2] == (2, 20)
    assert await healthy.deviations(tenant) == []


async def test_a_passing_failure_is_tried_again_and_forgotten(
    services: Services, platform: PlatformDatabase, database: TenantDatabase, tenant: Tenant, tables: Tables
) -> None:
    shop = await Shop.of(tenant)
    await shop.sell()
    stubborn, _ = refusing(times=1)
    ride = Ride(services, platform, database, {**CONSUMERS, "sales": stubborn})
    await ride.follow()
    await ride.settle(tables)
    assert (await sums(tables, tenant))[:2] == (1, 10)
    [letter] = (await tenant.get("/v1/dead-letters"))["data"]
    assert letter["state"] == "recovered"


@pytest.mark.parametrize("bug", ["no receipts asked", "receipts in a transaction of their own", "by position only"])
async def test_planted_bugs_of_projectors_are_caught(
    bug: str, ride: Ride, tenant: Tenant, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check of read models against documents sees each of them."""
    shop = await Shop.of(tenant)
    if bug == "no receipts asked":
        monkeypatch.setattr(applying, "_fresh", lambda known, added, confirmed: [(1, one) for one in known])
        await shop.sell()
        await ride.follow()
        await ride.redis.xgroup_destroy("events", "sales")
        await ride.follow()
    elif bug == "receipts in a transaction of their own":
        await shop.sell()
        await ride.publish()
        monkeypatch.setattr("workers.delivery.deliver", partial(noted_first, ride))
        with pytest.raises(SystemExit):
            await ride.follow()
        monkeypatch.undo()
        await ride.redis.flushdb()
        await ride.settle(tables)
    else:
        await ride.settle(tables)
        await shop.sell()
        # It trusts the highest position it has seen, while a lower one was not there yet.
        tables.rows(
            "UPDATE event_consumers SET (xid, position) = (SELECT e.xid, e.position FROM events e ORDER BY e.position"
            " DESC LIMIT 1) WHERE name = 'sales'"
        )
        await ride.follow()
        await ride.settle(tables)
    assert await ride.deviations(tenant) != []


async def noted_first(ride: Ride, work: Any, consumer: Consumer, events: Any, *, failed: bool = False) -> int:
    """The bug: the receipts are committed, then the process dies before the effect."""

    async def only_receipts(inner: Any) -> None:
        named = {"consumer": consumer.name, "ids": [event.event_id for event in events]}
        await inner.load(ENSURE_GENERATION(consumer=consumer.name))
        await inner.load(ADD_RECEIPTS(**named, xids=[str(event.xid) for event in events]))

    await ride.database.run(work.caller, only_receipts)
    raise SystemExit
