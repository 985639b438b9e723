"""An event that takes too long holds up nothing: no other event of its tenant, no other tenant or consumer."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from db.errors import PrimaryUnavailable, StatementTimeout
from db.pool import Pool
from db.statement import Bound
from erp.projections.consumers import CONSUMERS
from erp.projections.definition import Consumer
from erp.projections.repository import LOCK_GENERATIONS
from fleet.metrics import event_consumer_lag_seconds
from tenancy.database import TenantDatabase
from tenancy.platform import PlatformDatabase
from tenancy.work import Bounds
from tests.api.whole.conftest import Newcomer, Tenant
from tests.configuration.conftest import until
from tests.eventstore.busride import Ride, of
from tests.eventstore.test_bus import Shop, sums
from tests.services import Services
from tests.workers.conftest import Tables

pytestmark = pytest.mark.usefixtures("clean")

_BOUNDS = Bounds(statement_timeout=400, lock_timeout=200)
#: Longer than a statement may take.
_FOR_EVER: Bound[Any] = Bound("SELECT pg_sleep(5)", {})


def dawdling(invoice_id: str) -> Consumer:
    """The consumer of sales, for which this invoice takes for ever."""
    real = CONSUMERS["sales"]

    def apply(work: Any, generation: int, events: Any) -> None:
        real.apply(work, generation, events)
        if any(str(event.aggregate_id) == invoice_id for event in events):
            work.save(_FOR_EVER)

    return replace(real, apply=apply)


def riding(services: Services, platform: PlatformDatabase, database: TenantDatabase, slow: Consumer) -> Ride:
    return Ride(services, platform, database.bounded(_BOUNDS, 10.0), {**CONSUMERS, "sales": slow})


async def test_an_event_that_always_takes_too_long_becomes_a_dead_letter_and_holds_up_nothing(
    services: Services, platform: PlatformDatabase, database: TenantDatabase, newcomer: Newcomer, tables: Tables
) -> None:
    shops = [await Shop.of(await newcomer()) for _ in range(3)]
    slow = (await shops[1].sell())["invoice_id"]
    for shop in shops:
        await shop.sell()
    await shops[1].sell()
    ride = riding(services, platform, database, dawdling(slow))
    # From the feed alone, as after a loss of the stream. One pass brings what is not slow, of everybody.
    await ride.settle_once()
    assert [(await sums(tables, shop.tenant))[0] for shop in (shops[0], shops[2])] == [1, 1], "other tenants"
    assert (await sums(tables, shops[1].tenant))[2] == 30, "other consumers"
    await ride.settle(tables)
    assert (await sums(tables, shops[1].tenant))[0] == 2, "its tenant's other events"
    [letter] = (await shops[1].tenant.get("/v1/dead-letters"))["data"]
    assert (letter["state"], letter["attempts"], letter["error_code"]) == ("dead", 2, "statement-timeout")
    await shops[1].tenant.post(f"/v1/dead-letters/{letter['id']}/replay", {"reason": "no longer slow"})
    assert (await sums(tables, shops[1].tenant))[0] == 3
    assert await ride.deviations(shops[1].tenant) == []


async def test_the_stream_goes_on_behind_an_event_that_takes_too_long(
    services: Services, platform: PlatformDatabase, database: TenantDatabase, newcomer: Newcomer, tables: Tables
) -> None:
    first, second = [await Shop.of(await newcomer()) for _ in range(2)]
    slow = (await first.sell())["invoice_id"]
    await second.sell()
    ride = riding(services, platform, database, dawdling(slow))
    await ride.follow()
    await second.sell()
    await ride.follow()
    assert (await sums(tables, second.tenant))[0] == 2


async def test_time_taken_for_an_outage_would_hold_up_everybody(
    services: Services, platform: PlatformDatabase, database: TenantDatabase, newcomer: Newcomer, tables: Tables,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The planted bug: what takes too long says nothing about the event."""
    monkeypatch.setattr("workers.delivery._TOO_LONG", ())
    first, second = [await Shop.of(await newcomer()) for _ in range(2)]
    slow = (await first.sell())["invoice_id"]
    await second.sell()
    ride = riding(services, platform, database, dawdling(slow))
    for _ in range(4):
        with pytest.raises(StatementTimeout):
            await ride.settler.settle(ride.consumers["sales"])
    assert (await sums(tables, second.tenant))[0] == 0
    assert (await first.tenant.get("/v1/dead-letters"))["data"] == []


async def test_events_of_a_read_model_that_somebody_else_holds_wait_and_are_not_blamed(
    services: Services, platform: PlatformDatabase, database: TenantDatabase, newcomer: Newcomer, tables: Tables
) -> None:
    held, free = [await Shop.of(await newcomer()) for _ in range(2)]
    ride = riding(services, platform, database, CONSUMERS["sales"])
    for shop in (held, free):
        await shop.sell()
    await ride.follow()
    for shop in (held, free):
        await shop.sell()
    holding, proceed = asyncio.Event(), asyncio.Event()

    async def hold(work: Any) -> None:
        await work.load(LOCK_GENERATIONS(consumer="sales"))
        holding.set()
        await proceed.wait()

    holder = asyncio.create_task(database.run(of(held.tenant), hold))
    await asyncio.wait_for(holding.wait(), 10)
    await ride.settle_once()
    counts = [(await sums(tables, shop.tenant))[0] for shop in (held, free)]
    assert counts == [1, 2]
    proceed.set()
    await holder
    await ride.settle(tables)
    assert (await sums(tables, held.tenant))[0] == 2
    assert (await held.tenant.get("/v1/dead-letters"))["data"] == []


def unreachable() -> Consumer:
    """One that finds the database away, always."""

    def apply(work: Any, generation: int, events: Any) -> None:
        raise PrimaryUnavailable

    return replace(CONSUMERS["sales"], apply=apply)


def lag(consumer: str) -> float:
    return float(event_consumer_lag_seconds.at(consumer, "main")._value.get())


async def test_the_lag_is_told_while_settling_fails_and_grows_while_it_cannot_be_read(
    services: Services, platform: PlatformDatabase, database: TenantDatabase, tenant: Tenant, tables: Tables
) -> None:
    shop = await Shop.of(tenant)
    ride = riding(services, platform, database, unreachable())
    await shop.sell()
    tables.rows("UPDATE event_consumers SET settled_at = clock_timestamp() - interval '2 minutes'")
    ending = asyncio.Event()
    running = [asyncio.create_task(loop.run(ending)) for loop in ride.settler.loops(0.05, 0.05)]
    try:
        await until(lambda: 0 < lag("receivables") < 60 and lag("sales") >= 120, 10.0)
    finally:
        ending.set()
        await asyncio.gather(*running)
    told = lag("sales")
    ride.settler._platform = PlatformDatabase(Pool(services.platform_url, name="never-opened", size=1))
    with pytest.raises(PrimaryUnavailable):
        await ride.settler.measure()
    assert lag("sales") > told
