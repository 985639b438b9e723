"""Reads through standbys: never older than what the caller wrote, never lost with a standby."""

import asyncio
import time
import uuid
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from db.consistency import PRIMARY_ONLY, InvalidConsistencyToken, TokenCodec
from db.counting import RoundTrips, round_trips
from db.replicas import ReplicaSet
from db.statement import Bound
from tenancy.caller import Caller
from tenancy.database import TenantDatabase
from tenancy.work import UnitOfWork
from tests.services import Services
from tests.tenancy.conftest import Newcomer

pytestmark = pytest.mark.usefixtures("counters")

WHERE_AM_I: Bound[Any] = Bound("SELECT pg_is_in_recovery(), inet_server_port()", {})
COUNT: Bound[Any] = Bound("SELECT count(*) FROM test_counters WHERE tenant_id = %(tenant_id)s", {}, None, True)


def insert() -> Bound[Any]:
    return Bound("INSERT INTO test_counters VALUES (%(tenant_id)s, %(id)s, 0)", {"id": uuid.uuid4()}, None, True)


async def write(work: UnitOfWork) -> None:
    work.save(insert())


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.02)


def pause(services: Services, *, resume: bool = False) -> None:
    """Stop or continue replay on every standby (the superuser may; the application may not)."""
    verb = "resume" if resume else "pause"
    for server in services.standby_superuser_urls:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"SELECT pg_wal_replay_{verb}()")


async def test_reads_go_to_a_standby(database: TenantDatabase, newcomer: Newcomer) -> None:
    caller = await newcomer()
    [[(in_recovery, _)]] = await database.read(caller, WHERE_AM_I)
    assert in_recovery


async def test_one_principal_stays_on_one_standby(database: TenantDatabase, newcomer: Newcomer) -> None:
    caller = await newcomer()
    ports = {(await database.read(caller, WHERE_AM_I))[0][0][1] for _ in range(10)}
    assert len(ports) == 1


async def test_a_read_takes_one_round_trip(database: TenantDatabase, newcomer: Newcomer) -> None:
    caller = await newcomer()
    await database.read(caller, COUNT)
    for statements in ((COUNT,), (COUNT, COUNT)):
        counts = RoundTrips()
        token = round_trips.set(counts)
        await database.read(caller, *statements)
        round_trips.reset(token)
        assert counts.postgres == 1


async def test_two_hundred_writes_are_each_seen_by_the_next_read(
    database: TenantDatabase, newcomer: Newcomer
) -> None:
    caller = await newcomer()
    for expected in range(1, 201):
        position = (await database.run(caller, write)).position
        [[(found,)]] = await database.read(caller, COUNT, consistency=position)
        assert found == expected


async def test_a_paused_standby_is_not_asked_for_what_it_lacks(
    services: Services, database: TenantDatabase, newcomer: Newcomer
) -> None:
    caller = await newcomer()
    pause(services)
    try:
        position = (await database.run(caller, write)).position
        started = time.monotonic()
        [[(found,)], [(in_recovery, _)]] = await database.read(caller, COUNT, WHERE_AM_I, consistency=position)
        assert (found, in_recovery) == (1, False)
        assert time.monotonic() - started < 1.0
        # The planted bug: the same read without its position is served stale.
        [[(stale,)]] = await database.read(caller, COUNT)
        assert stale == 0
    finally:
        pause(services, resume=True)


async def test_a_lagging_standby_is_ejected_and_taken_back(
    services: Services, database: TenantDatabase, replicas: ReplicaSet, newcomer: Newcomer
) -> None:
    caller = await newcomer()
    replicas._max_lag = 0.5
    pause(services)
    try:
        await database.run(caller, write)
        await until(lambda: replicas.choose(None) is None)
        [[(in_recovery, _)]] = await database.read(caller, WHERE_AM_I)
        assert not in_recovery
    finally:
        pause(services, resume=True)
    await until(lambda: replicas.choose(None) is not None)


async def test_a_killed_standby_costs_no_read(
    services: Services, database: TenantDatabase, replicas: ReplicaSet, newcomer: Newcomer
) -> None:
    caller = await newcomer()
    victim = services.processes["replica1"]
    victim.process.kill()
    try:
        for _ in range(50):
            [[(found,)]] = await database.read(caller, COUNT)
            assert found == 0
    finally:
        services.processes.restart("replica1")
    await until(lambda: all(replica.healthy for replica in replicas.replicas), 30)


async def test_look_ups_of_many_tenants_at_once_see_their_own(database: TenantDatabase, newcomer: Newcomer) -> None:
    callers = [await newcomer() for _ in range(6)]
    written = {}
    for number, caller in enumerate(callers):
        for _ in range(number):
            written[number] = (await database.run(caller, write)).position

    async def seen(number: int) -> int:
        [(count,)] = await database.look_up(callers[number], COUNT, consistency=written.get(number))
        return int(count)

    numbers = [number % 6 for number in range(240)]
    assert await asyncio.gather(*map(seen, numbers)) == numbers


async def test_a_killed_standby_costs_no_look_up(
    services: Services, database: TenantDatabase, replicas: ReplicaSet, newcomer: Newcomer
) -> None:
    callers = [await newcomer() for _ in range(4)]
    found: list[int] = []

    async def look(caller: Caller) -> None:
        for _ in range(50):
            [(count,)] = await database.look_up(caller, COUNT)
            found.append(count)

    looking = [asyncio.create_task(look(caller)) for caller in callers for _ in range(4)]
    await until(lambda: len(found) > 40)
    services.processes["replica1"].process.kill()
    try:
        await asyncio.gather(*looking)
    finally:
        services.processes.restart("replica1")
    assert found == [0] * 800
    await until(lambda: all(replica.healthy for replica in replicas.replicas), 30)


async def test_the_primary_can_be_asked_for(database: TenantDatabase, newcomer: Newcomer) -> None:
    caller = await newcomer()
    [[(in_recovery, _)]] = await database.read(caller, WHERE_AM_I, consistency=PRIMARY_ONLY)
    assert not in_recovery


async def test_a_read_can_say_how_far_it_saw(database: TenantDatabase, newcomer: Newcomer) -> None:
    caller = await newcomer()
    written = (await database.run(caller, write)).position
    assert written is not None
    _, seen = await database.read_with_position(caller, COUNT, consistency=written)
    assert seen >= written


def test_an_altered_token_is_refused() -> None:
    codec = TokenCodec("secret")
    token = codec.encode(123456789)
    assert codec.decode(token) == 123456789
    for wrong in (token[:-1] + ("A" if token[-1] != "A" else "B"), "", "x", TokenCodec("other").encode(1)):
        with pytest.raises(InvalidConsistencyToken):
            codec.decode(wrong)
