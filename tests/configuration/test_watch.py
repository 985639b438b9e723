"""Every process works with a change within a second, and with the last good values whatever is away."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import timedelta

import httpx
import psycopg
import pytest

from db.clock import clock
from db.redis import connect
from erp.inventory.reservations import SALES_TTL
from fleet.configuration import watch as watch_module
from fleet.configuration.watch import ConfigurationWatch
from fleet.metrics import configuration_checks_total, configuration_refused_values
from tests.api.whole.conftest import Tenant
from tests.configuration.conftest import change, until, watching
from tests.configuration.severed import relayed
from tests.services import Services
from tests.tenancy.coordination.conftest import OwnRedis

#: What "within a second" may be on two busy cores.
SECOND = 1.5
NOWHERE = "redis://127.0.0.1:1/0"


async def test_a_hint_brings_a_change_long_before_the_next_look(
    services: Services, system: httpx.AsyncClient
) -> None:
    async with watching(services.platform_url, services.redis_cache_url, poll=30.0) as slow:
        await asyncio.sleep(0.3)  # subscribed: there is nothing to ask whether it is
        await change(system, sales__reservation_ttl=7200)
        await until(lambda: slow.configuration.get(SALES_TTL) == 7200, SECOND)


async def test_without_redis_every_watch_finds_a_change_within_a_second(
    services: Services, system: httpx.AsyncClient
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        watches = [await stack.enter_async_context(watching(services.platform_url, NOWHERE)) for _ in range(4)]
        for value in (7200, 7300, 7400):
            await change(system, sales__reservation_ttl=value)
            await until(lambda: all(w.configuration.get(SALES_TTL) == value for w in watches), SECOND)  # noqa: B023


async def test_every_look_sets_the_clock_by_the_primarys(services: Services) -> None:
    async with watching(services.platform_url, NOWHERE):
        clock.offset = timedelta(hours=1)
        await until(lambda: clock.offset == timedelta(0), SECOND)


async def test_redis_may_lose_everything_and_die(
    services: Services, system: httpx.AsyncClient, own_redis: OwnRedis
) -> None:
    async with watching(services.platform_url, own_redis.url) as one:
        flusher = connect(own_redis.url, timeout=0.5)
        await flusher.flushall()
        await change(system, sales__reservation_ttl=7200)
        await until(lambda: one.configuration.get(SALES_TTL) == 7200, SECOND)
        own_redis.stop()
        await change(system, sales__reservation_ttl=7300)
        await until(lambda: one.configuration.get(SALES_TTL) == 7300, SECOND)
        own_redis.start()
        await change(system, sales__reservation_ttl=7400)
        await until(lambda: one.configuration.get(SALES_TTL) == 7400, SECOND)
        await flusher.aclose()


async def test_without_redis_and_postgresql_the_last_good_values_hold(
    services: Services, system: httpx.AsyncClient
) -> None:
    await change(system, sales__reservation_ttl=7200)
    async with relayed(services.platform_url) as relay, watching(relay.url, NOWHERE, poll=0.1) as one:
        assert one.configuration.get(SALES_TTL) == 7200
        await relay.sever()
        failed = configuration_checks_total.at("failed")
        before = failed._value.get()
        await change(system, sales__reservation_ttl=7300)
        await until(lambda: failed._value.get() >= before + 2, 10.0)
        assert one.configuration.get(SALES_TTL) == 7200
        await relay.mend()
        await until(lambda: one.configuration.get(SALES_TTL) == 7300, 10.0)


async def test_a_process_that_starts_without_postgresql_works_with_defaults_until_it_is_there(
    services: Services, system: httpx.AsyncClient
) -> None:
    await change(system, sales__reservation_ttl=7200)
    async with relayed(services.platform_url) as relay:
        await relay.sever()
        async with watching(relay.url, NOWHERE, poll=0.1) as one:
            assert one.configuration.get(SALES_TTL) == SALES_TTL.default
            await relay.mend()
            await until(lambda: one.configuration.get(SALES_TTL) == 7200, 10.0)


async def test_a_stored_value_this_release_refuses_leaves_the_last_good_one(
    services: Services, system: httpx.AsyncClient, store: Callable[[str, str], None]
) -> None:
    await change(system, sales__reservation_ttl=7200)
    async with watching(services.platform_url, NOWHERE, poll=0.1) as one:
        store("sales.reservation_ttl", "5")
        store("of.another_release", "true")
        await until(lambda: bool(one._refused), SECOND)
        assert one.configuration.get(SALES_TTL) == 7200
        assert configuration_refused_values._value.get() == 1
        await change(system, sales__reservation_ttl=7300)
        await until(lambda: one.configuration.get(SALES_TTL) == 7300, SECOND)
        assert configuration_refused_values._value.get() == 0


async def test_a_watcher_is_called_with_the_names_after_the_values_have_changed(
    services: Services, system: httpx.AsyncClient
) -> None:
    async with watching(services.platform_url, NOWHERE, poll=0.1) as one:
        told: list[tuple[frozenset[str], int]] = []

        def broken(names: frozenset[str]) -> None:
            raise RuntimeError("a reader's own mistake")

        one.configuration.watch(broken)
        one.configuration.watch(lambda names: told.append((names, one.configuration.get(SALES_TTL))))
        await change(system, sales__reservation_ttl=7200)
        await until(lambda: bool(told), SECOND)
        assert told == [(frozenset({"sales.reservation_ttl"}), 7200)]


async def test_a_restored_database_with_older_numbers_is_believed(
    services: Services, system: httpx.AsyncClient
) -> None:
    async with watching(services.platform_url, NOWHERE, poll=0.1) as one:
        await change(system, sales__reservation_ttl=7200)
        await until(lambda: one.configuration.get(SALES_TTL) == 7200, SECOND)
        for source in one._sources:
            source.revision += 1000  # as if the backup were that much older than what this process has seen
        await change(system, sales__reservation_ttl=7300)
        await until(lambda: one.configuration.get(SALES_TTL) == 7300, SECOND)


async def test_a_tenants_value_is_seen_for_that_tenant_alone(services: Services, tenant: Tenant) -> None:
    async with watching(services.platform_url, NOWHERE, poll=0.1) as one:
        await change(tenant.client, sales__reservation_ttl=7200)
        scopes = {scope for scope, name in one.configuration.snapshot.values}
        await until(lambda: tenant.id in {str(s) for s, _ in one.configuration.snapshot.values}, SECOND)
        assert one.configuration.get(SALES_TTL) == SALES_TTL.default
        assert {s for s, _ in one.configuration.snapshot.values} - scopes <= {
            s for s, _ in one.configuration.snapshot.values if str(s) == tenant.id
        }


async def test_a_change_that_commits_late_is_not_skipped(services: Services, system: httpx.AsyncClient) -> None:
    """A transaction that holds its number open holds back those behind it, so nobody reads past it."""
    async with watching(services.platform_url, NOWHERE, poll=0.1) as one:
        with psycopg.connect(services.superuser_url) as slow:
            slow.execute("UPDATE configuration_head SET revision = revision + 1")
            behind = asyncio.create_task(change(system, sales__reservation_ttl=7200))
            await asyncio.sleep(0.5)
            assert not behind.done()
            slow.rollback()
        revision = await behind
        await until(lambda: one.configuration.revision() >= revision, SECOND)
        assert one.configuration.get(SALES_TTL) == 7200


async def test_a_watch_that_neither_hears_nor_looks_would_be_found(
    services: Services, system: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug of the tests above."""

    async def never(self: ConfigurationWatch) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(watch_module.ConfigurationWatch, "_look_forever", never)
    async with watching(services.platform_url, services.redis_cache_url) as deaf:
        await change(system, sales__reservation_ttl=7200)
        with pytest.raises(AssertionError):
            await until(lambda: deaf.configuration.get(SALES_TTL) == 7200, SECOND)
