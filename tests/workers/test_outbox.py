"""The outbox itself: what goes in, what comes out of it, and in which portions."""

import asyncio
import contextlib
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import psycopg
import pytest
from alembic import command
from psycopg import sql
from redis import Redis

from db.migrations import alembic_config, migrate
from db.redis import connect
from tenancy.caller import Caller
from tenancy.database import TenantDatabase
from tenancy.platform import PlatformDatabase
from tenancy.work import UnitOfWork
from tests.services import Services
from tests.workers.conftest import Newcomer, Tables
from tests.workers.test_relay import Seen, drain, history, in_order, publish, streamed
from workers.event_repository import EventRow
from workers.relay import Relay

pytestmark = pytest.mark.usefixtures("clean")

PENDING = "SELECT count(*) FROM outbox"


class Held(Relay):
    """Stops after it has appended its first batch, before it commits, until told to go on."""

    def __init__(self, platform: PlatformDatabase, services: Services, batch: int) -> None:
        super().__init__(platform, connect(services.redis_queue_url, timeout=2.0), batch=batch)
        self.appended, self.proceed = asyncio.Event(), asyncio.Event()

    async def _append(self, events: Sequence[EventRow]) -> None:
        await super()._append(events)
        self.appended.set()
        await self.proceed.wait()


class ChangedItsMind(Exception):
    pass


async def test_a_command_that_rolls_back_leaves_nothing_to_publish(
    database: TenantDatabase, newcomer: Newcomer, tables: Tables
) -> None:
    async def half_done(work: UnitOfWork) -> None:
        work.publish(*history(uuid.uuid4(), 1, 3))
        raise ChangedItsMind

    with pytest.raises(ChangedItsMind):
        await database.run(newcomer(), half_done)
    assert tables.value(PENDING) == 0
    await publish(database, newcomer(), *history(uuid.uuid4(), 1, 3))
    assert tables.value(PENDING) == 3


async def test_a_batch_is_bounded_and_shared_among_the_aggregates(
    services: Services, platform: PlatformDatabase, database: TenantDatabase, newcomer: Newcomer, queue_redis: Redis
) -> None:
    """A record with a long history of its own does not keep the others waiting, and no batch is larger than asked."""
    caller, long, short = newcomer(), uuid.uuid4(), [uuid.uuid4() for _ in range(9)]
    relay = Relay(platform, connect(services.redis_queue_url, timeout=2.0), batch=20)
    await publish(database, caller, *history(long, 1, 60))
    for aggregate in short:
        await publish(database, caller, *history(aggregate, 1, 2))
    assert await relay.publish() == 20  # two of each of the ten
    assert lengths(streamed(queue_redis)) == [2] * 10
    assert await relay.publish() == 20  # of the one that is left
    assert await drain(relay) == 38
    assert streamed(queue_redis)[str(caller.tenant.id), str(long)] == list(range(1, 61))


def lengths(seen: Seen) -> list[int]:
    return sorted(map(len, seen.values()))


async def test_a_queue_longer_than_what_a_relay_looks_at_comes_out_whole_and_in_order(
    services: Services, platform: PlatformDatabase, database: TenantDatabase, newcomer: Newcomer, queue_redis: Redis
) -> None:
    caller, first, last = newcomer(), uuid.uuid4(), uuid.uuid4()
    relay = Relay(platform, connect(services.redis_queue_url, timeout=2.0), batch=5)
    await publish(database, caller, *history(first, 1, 100))
    await publish(database, caller, *history(last, 1, 3))
    assert await drain(relay) == 103
    seen = streamed(queue_redis)
    assert seen[str(caller.tenant.id), str(first)] == list(range(1, 101))
    assert seen[str(caller.tenant.id), str(last)] == [1, 2, 3]


async def test_what_one_relay_holds_another_leaves_alone_and_goes_on_with_the_rest(
    services: Services, platform: PlatformDatabase, database: TenantDatabase, newcomer: Newcomer, queue_redis: Redis
) -> None:
    caller, aggregates = newcomer(), [uuid.uuid4() for _ in range(6)]
    for aggregate in aggregates:
        await publish(database, caller, *history(aggregate, 1, 1))
    held, other = Held(platform, services, batch=3), Relay(platform, connect(services.redis_queue_url, timeout=2.0))
    holding = asyncio.create_task(held.publish())
    await held.appended.wait()
    for aggregate in aggregates:
        await publish(database, caller, *history(aggregate, 2, 3))
    assert await drain(other) == 9  # three of the aggregates; what follows in the others waits for its head
    assert lengths(streamed(queue_redis)) == [1, 1, 1, 3, 3, 3]
    held.proceed.set()
    assert await holding == 3
    assert await drain(other) == 6
    seen = streamed(queue_redis)
    assert all(versions == [1, 2, 3] for versions in seen.values()), seen


async def test_a_relay_that_breaks_off_gives_back_what_it_held(
    services: Services, platform: PlatformDatabase, database: TenantDatabase, newcomer: Newcomer, queue_redis: Redis
) -> None:
    caller, aggregate = newcomer(), uuid.uuid4()
    await publish(database, caller, *history(aggregate, 1, 4))
    held, other = Held(platform, services, batch=2), Relay(platform, connect(services.redis_queue_url, timeout=2.0))
    holding = asyncio.create_task(held.publish())
    await held.appended.wait()
    assert await other.publish() == 0
    holding.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await holding
    assert await drain(other) == 4
    [versions] = streamed(queue_redis).values()
    assert versions == [1, 2, 1, 2, 3, 4]
    assert in_order(versions)


async def test_jobs_are_announced_when_they_are_committed_and_only_then(
    services: Services, platform: PlatformDatabase, database: TenantDatabase, newcomer: Newcomer, tables: Tables
) -> None:
    announced: list[int] = []
    queued = "SELECT count(*) FROM jobs WHERE kind = 'low_stock_notice'"
    relay = Relay(
        platform,
        connect(services.redis_queue_url, timeout=2.0),
        on_jobs=lambda: announced.append(tables.value(queued)),
    )
    caller: Caller = newcomer()
    await publish(database, caller, *history(uuid.uuid4(), 1, 2))
    assert (await relay.publish(), announced) == (2, [])
    await publish(database, caller, *history(uuid.uuid4(), 1, 2, "stock.low"))
    assert (await relay.publish(), announced) == (2, [2])


# -- coming from a schema without it ---------------------------------------------------------------


@pytest.fixture
def old_database(services: Services) -> Iterator[str]:
    """A database of its own at the first revision; the owner's address."""
    name = f"old_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(services.superuser_url, autocommit=True) as session:
        session.execute(sql.SQL("CREATE DATABASE {} OWNER erp_owner TEMPLATE template0").format(sql.Identifier(name)))
        url = urlsplit(services.owner_url)._replace(path=f"/{name}").geturl()
        command.upgrade(alembic_config(url), "0001")
        yield url
        session.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_events_a_former_release_left_unpublished_are_in_the_outbox(services: Services, old_database: str) -> None:
    url = urlsplit(services.superuser_url)._replace(path=urlsplit(old_database).path).geturl()
    left: dict[int, list[int]] = defaultdict(list)
    with psycopg.connect(url, autocommit=True) as session:
        session.execute(
            "INSERT INTO events (tenant_id, event_id, aggregate_type, aggregate_id, version, type, data,"
            " published_at) SELECT gen_random_uuid(), gen_random_uuid(), 'probe', gen_random_uuid(), n,"
            "  'probe.moved', '{}', CASE WHEN n <= 5 THEN now() END FROM generate_series(1, 8) AS n"
        )
        running = uuid.uuid4()
        session.execute(
            "INSERT INTO tenants (tenant_id, slug, name, base_currency, country, time_zone)"
            " VALUES (%s, 'old', 'Old', 'GBP', 'GB', 'UTC')",
            [running],
        )
        session.execute(
            "INSERT INTO jobs (tenant_id, id, kind, state, lease_until, started_at)"
            " VALUES (%s, gen_random_uuid(), 'probe', 'running', now(), now())",
            [running],
        )
        migrate(old_database)
        for version, position in session.execute("SELECT version, position FROM outbox ORDER BY position"):
            left[version].append(position)
        unpublished = session.execute("SELECT version, position FROM events WHERE version > 5").fetchall()
        assert dict(left) == {version: [position] for version, position in unpublished}
        # Lost workers are looked for among the jobs that have a message.
        job = session.execute("SELECT phase, enqueued_at IS NOT NULL FROM jobs").fetchone()
        assert job == ("unfinished", True)
        forced = "SELECT relname FROM pg_class WHERE relname IN ('events', 'jobs', 'outbox') AND relforcerowsecurity"
        assert session.execute(f"{forced} ORDER BY 1").fetchall() == [("events",), ("jobs",), ("outbox",)]
