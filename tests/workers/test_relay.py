"""Events: none left out, in order per aggregate, whatever happens between commit and publication."""

import asyncio
import random
import signal
import uuid
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any

import psycopg
import pytest
from redis import Redis
from redis.exceptions import RedisError

from db.redis import connect
from db.statement import Bound
from tenancy.cache.entries import record
from tenancy.cache.service import TenantCache
from tenancy.caller import Caller
from tenancy.database import TenantDatabase
from tenancy.platform import PlatformDatabase, PlatformSession
from tenancy.trail import Event
from tenancy.work import UnitOfWork
from tests.services import Services
from tests.workers.conftest import Newcomer, Processes, Tables
from workers.cache_repair import CacheRepair
from workers.event_repository import EventRow
from workers.relay import STREAM, Relay
from workers.subscriptions import Subscription

pytestmark = pytest.mark.usefixtures("clean")

Seen = dict[tuple[str, str], list[int]]


async def publish(database: TenantDatabase, caller: Caller, *events: Event) -> None:
    async def command(work: UnitOfWork) -> None:
        work.publish(*events)

    await database.run(caller, command)


def history(aggregate: uuid.UUID, first: int, last: int, kind: str = "probe.moved") -> list[Event]:
    return [Event("probe", aggregate, version, kind, {"n": version}) for version in range(first, last + 1)]


def streamed(redis: Redis) -> Seen:
    """(tenant, aggregate) -> the versions as they stand in the stream."""
    seen: Seen = defaultdict(list)
    entries: Any = redis.xrange(STREAM)
    for _, fields in entries:
        key = (fields[b"tenant_id"].decode(), fields[b"aggregate_id"].decode())
        seen[key].append(int(fields[b"version"]))
    return seen


def in_order(versions: list[int]) -> bool:
    """First appearances rise without a gap; what was seen before may come again."""
    first = list(dict.fromkeys(versions))
    return first == list(range(first[0], first[0] + len(first)))


@pytest.fixture
async def relay(services: Services, platform: PlatformDatabase) -> Relay:
    return Relay(platform, connect(services.redis_queue_url, timeout=2.0), batch=50)


async def drain(relay: Relay) -> int:
    total = 0
    while sent := await relay.publish():
        total += sent
    return total


async def test_events_appear_in_the_stream_in_order(
    relay: Relay, database: TenantDatabase, newcomer: Newcomer, queue_redis: Redis, tables: Tables
) -> None:
    caller, one, other = newcomer(), uuid.uuid4(), uuid.uuid4()
    for version in range(1, 31):
        await publish(database, caller, *history(one, version, version), *history(other, version, version))
    await publish(database, caller, *history(one, 31, 200))  # more than a batch of one aggregate
    assert await drain(relay) == 230
    seen = streamed(queue_redis)
    assert seen[str(caller.tenant.id), str(one)] == list(range(1, 201))
    assert seen[str(caller.tenant.id), str(other)] == list(range(1, 31))
    assert tables.value("SELECT count(*) FROM outbox") == 0


async def test_a_transaction_held_open_while_later_ones_commit_is_not_skipped(
    relay: Relay, database: TenantDatabase, newcomer: Newcomer, queue_redis: Redis, tables: Tables
) -> None:
    caller, late = newcomer(), uuid.uuid4()
    opened, proceed = asyncio.Event(), asyncio.Event()

    async def hold(work: UnitOfWork) -> None:
        work.save(added(late))
        await work.load()
        opened.set()
        await proceed.wait()

    holding = asyncio.create_task(database.run(caller, hold))
    await opened.wait()
    cursor = NaiveCursor(tables)
    early = [uuid.uuid4() for _ in range(5)]
    for aggregate in early:
        await publish(database, caller, *history(aggregate, 1, 1))
    assert await drain(relay) == 5
    assert cursor.read() == set(early)
    proceed.set()
    await holding
    assert await drain(relay) == 1
    assert {uuid.UUID(aggregate) for _, aggregate in streamed(queue_redis)} == {late, *early}
    # The planted bug: reading on from the last position never sees the late one, whose position is lower.
    assert cursor.read() == set()


class NaiveCursor:
    """What must not be done: `WHERE position > last`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._last = tables.value("SELECT coalesce(max(position), 0) FROM events")

    def read(self) -> set[uuid.UUID]:
        rows = self._tables.rows(
            "SELECT position, aggregate_id FROM events WHERE position > %(last)s ORDER BY position", last=self._last
        )
        self._last = max([self._last, *(row["position"] for row in rows)])
        return {row["aggregate_id"] for row in rows}


def added(aggregate: uuid.UUID) -> Bound[Any]:
    """An event's row at once, not with the commit, so that its position is taken early."""
    return Bound(
        "INSERT INTO events (tenant_id, event_id, aggregate_type, aggregate_id, version, type, data)"
        " VALUES (%(tenant_id)s, gen_random_uuid(), 'probe', %(aggregate)s, 1, 'probe.moved', '{}')",
        {"aggregate": aggregate},
        None,
        True,
    )


async def test_a_relay_killed_between_publishing_and_committing_causes_duplicates_and_no_gap(
    relay: Relay,
    processes: Processes,
    database: TenantDatabase,
    newcomer: Newcomer,
    queue_redis: Redis,
    tables: Tables,
) -> None:
    caller = newcomer()
    aggregates = [uuid.uuid4() for _ in range(10)]
    for version in range(1, 6):
        await publish(database, caller, *(event for a in aggregates for event in history(a, version, version)))
    dying = processes.run("-m", "tests.workers.dying_relay")
    assert await asyncio.to_thread(dying.process.wait, 30) == -signal.SIGKILL
    assert queue_redis.xlen(STREAM) == 20
    # The server has to notice that its client is gone before the rows are free again.
    await tables.until("SELECT count(*) = 0 FROM pg_stat_activity WHERE state LIKE 'idle in transaction%%'")
    assert await drain(relay) == 50
    seen = streamed(queue_redis)
    assert len(seen) == 10
    assert all(in_order(versions) and set(versions) == set(range(1, 6)) for versions in seen.values())
    assert sum(map(len, seen.values())) == 70  # 20 of them twice


class Flaky(Relay):
    """Breaks off now and then after it has appended, before it commits."""

    async def _publish(self, session: PlatformSession) -> tuple[Sequence[EventRow], int]:
        events, position = await super()._publish(session)
        if events and random.random() < 0.3:
            raise ConnectionResetError("broke off")
        return events, position


async def test_three_relays_that_break_off_at_random_lose_nothing_and_keep_the_order(
    services: Services,
    platform: PlatformDatabase,
    database: TenantDatabase,
    newcomer: Newcomer,
    queue_redis: Redis,
    tables: Tables,
) -> None:
    callers = [newcomer() for _ in range(2)]
    aggregates = [(caller, uuid.uuid4()) for caller in callers for _ in range(8)]
    relays = [Flaky(platform, connect(services.redis_queue_url, timeout=2.0), batch=7) for _ in range(3)]
    running = [asyncio.create_task(_relay_forever(relay)) for relay in relays]
    for version in range(1, 21):
        for caller, aggregate in aggregates:
            await publish(database, caller, *history(aggregate, version, version))
    await tables.until("SELECT count(*) = 0 FROM outbox", seconds=40)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    seen = streamed(queue_redis)
    assert len(seen) == 16
    for versions in seen.values():
        assert in_order(versions), versions
        assert set(versions) == set(range(1, 21))


async def _relay_forever(relay: Relay) -> None:
    while True:
        try:
            await relay.publish()
        except (ConnectionResetError, psycopg.Error):
            continue
        await asyncio.sleep(0)


async def test_an_event_makes_its_jobs_once_however_often_it_is_relayed(
    services: Services,
    platform: PlatformDatabase,
    database: TenantDatabase,
    newcomer: Newcomer,
    tables: Tables,
) -> None:
    def payload(event: EventRow) -> dict[str, Any]:
        return {"n": event.data["n"]}

    subscribed = {
        "probe.moved": (Subscription("probe.quick", "high", payload), Subscription("probe.slow", "low", payload)),
    }
    redis = connect(services.redis_queue_url, timeout=2.0)
    relay = Relay(platform, redis, subscriptions=subscribed)
    caller, aggregate = newcomer(), uuid.uuid4()
    await publish(database, caller, *history(aggregate, 1, 3), *history(uuid.uuid4(), 1, 1, "probe.ignored"))
    assert await drain(relay) == 4
    tables.rows(
        "INSERT INTO outbox SELECT tenant_id, aggregate_id, version, position FROM events"
        " WHERE aggregate_id = %(id)s",
        id=aggregate,
    )
    assert await drain(relay) == 3
    jobs = tables.rows("SELECT * FROM jobs ORDER BY kind, payload->>'n'")
    assert [(job["kind"], job["queue"], job["payload"]) for job in jobs] == [
        *(("probe.quick", "high", {"n": n}) for n in (1, 2, 3)),
        *(("probe.slow", "low", {"n": n}) for n in (1, 2, 3)),
    ]
    assert {job["correlation_id"] for job in jobs} == {"test-run-1"}
    events = tables.rows("SELECT event_id FROM events WHERE aggregate_id = %(id)s", id=aggregate)
    assert {job["causation_id"] for job in jobs} == {event["event_id"] for event in events}


async def test_redis_away_keeps_the_events(
    platform: PlatformDatabase, relay: Relay, database: TenantDatabase, newcomer: Newcomer, tables: Tables
) -> None:
    await publish(database, newcomer(), *history(uuid.uuid4(), 1, 4))
    nowhere = Relay(platform, connect("redis://127.0.0.1:1/0", timeout=0.5))
    with pytest.raises(RedisError):
        await nowhere.publish()
    assert tables.value("SELECT count(*) FROM outbox") == 4
    assert await drain(relay) == 4


@pytest.mark.parametrize("by_hand", [False, True])
async def test_a_cached_answer_ends_with_the_event_when_its_writer_died_before_saying_so(
    services: Services, platform: PlatformDatabase, database: TenantDatabase, newcomer: Newcomer, by_hand: bool
) -> None:
    """`database` here tells no cache: as if the process had died between the commit and the invalidation."""
    redis = connect(services.redis_cache_url, timeout=0.5)
    cache = TenantCache(redis, connect(services.redis_cache_url, timeout=5.0))
    repair = CacheRepair.over(services.redis_cache_url)
    await cache.start()
    caller, product = newcomer(), uuid.uuid4()
    values, asked = [b"old"], list[int | None]()

    async def load(after: int | None) -> tuple[bytes, int]:
        asked.append(after)
        return values[0], after or 0

    async def shown() -> bytes:
        return (await cache.get(caller.tenant.id, record("product", product), None, 30.0, load)).value

    assert await shown() == b"old"
    committed = await database.run(caller, partial(_dropped if by_hand else _changed, product))
    values[0] = b"new"
    assert await shown() == b"old"
    relay = Relay(platform, connect(services.redis_queue_url, timeout=2.0), published=repair.ended)
    await drain(relay)
    async with asyncio.timeout(5):
        while await shown() != b"new":  # noqa: ASYNC110  # told by the message alone
            await asyncio.sleep(0.005)
    assert asked[-1] is not None
    assert committed.position is not None
    assert asked[-1] >= committed.position
    await repair.close()
    await cache.close()


async def _dropped(product: uuid.UUID, work: UnitOfWork) -> None:
    facts = {"tags": [f"product:{product.hex}"], "reason": "repaired by hand"}
    work.publish(Event("cache_invalidation", uuid.uuid4(), 1, "cache.invalidated", facts))


async def _changed(product: uuid.UUID, work: UnitOfWork) -> None:
    work.publish(Event("product", product, 1, "product.updated", {}))
