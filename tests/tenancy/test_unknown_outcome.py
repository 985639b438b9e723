"""A commit nobody confirms: never a success, never a second effect."""

import asyncio
import os
import signal
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from db.errors import OutcomeUnknown
from db.pool import Pool
from db.statement import Bound
from tenancy.database import Answer, Idempotency, TenantDatabase
from tenancy.work import Bounds, UnitOfWork
from tests.services import Services
from tests.standbys import catch_up
from tests.tenancy.conftest import Newcomer

pytestmark = pytest.mark.usefixtures("counters")

COUNT: Bound[Any] = Bound("SELECT count(*) FROM test_counters WHERE tenant_id = %(tenant_id)s", {}, None, True)


async def insert(work: UnitOfWork) -> int:
    values = {"id": uuid.uuid4()}
    work.save(Bound("INSERT INTO test_counters VALUES (%(tenant_id)s, %(id)s, 1)", values, None, True))
    return 1


def encode(value: int) -> Answer:
    return Answer(201, str(value).encode())


@contextmanager
def frozen_standbys(services: Services) -> Iterator[None]:
    """Every process of both standbys stopped: quorum commit cannot be confirmed."""
    catch_up(services)
    pids = [pid for url in services.standby_superuser_urls for pid in _backends(url)]
    try:
        for pid in pids:
            _signal(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            _signal(pid, signal.SIGCONT)


def _backends(url: str) -> list[int]:
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE backend_type IN ('walreceiver', 'startup')"
        ).fetchall()
    return [int(pid) for (pid,) in rows]


def _signal(pid: int, what: signal.Signals) -> None:
    os.kill(pid, what)


async def count(database: TenantDatabase, caller: Any) -> int:
    async def look(work: UnitOfWork) -> int:
        [[(found,)]] = await work.load(COUNT)
        return int(found)

    return (await database.run(caller, look)).value


async def test_a_commit_no_standby_confirms_is_unknown_and_its_repeat_has_one_effect(
    services: Services, database: TenantDatabase, newcomer: Newcomer
) -> None:
    caller = await newcomer()
    key = Idempotency("a-key-of-sixteen", b"a" * 32)
    impatient = database.bounded(Bounds(commit_wait=500), 10.0)
    with frozen_standbys(services), pytest.raises(OutcomeUnknown):
        await impatient.answer(caller, insert, encode, key)
    answer = await database.answer(caller, insert, encode, key)
    assert answer.status == 201
    assert await count(database, caller) == 1


async def test_a_repeat_is_not_answered_while_no_standby_has_what_it_repeats(
    services: Services, database: TenantDatabase, newcomer: Newcomer
) -> None:
    """The first try is in the primary's tables by then; its answer would promise what the primary's loss undoes."""
    caller = await newcomer()
    key = Idempotency("a-key-of-sixteen", b"a" * 32)
    impatient = database.bounded(Bounds(commit_wait=500), 10.0)
    with frozen_standbys(services):
        for _ in range(2):
            with pytest.raises(OutcomeUnknown):
                await impatient.answer(caller, insert, encode, key)
    answer = await database.answer(caller, insert, encode, key)
    assert (answer.status, answer.replayed) == (201, True)
    assert await count(database, caller) == 1


async def test_a_cancelled_wait_for_a_standby_is_no_success(
    services: Services, database: TenantDatabase, pool: Pool, newcomer: Newcomer
) -> None:
    """PostgreSQL then reports success with a warning: locally done, not yet safe."""
    caller = await newcomer()
    with frozen_standbys(services):
        writing = asyncio.create_task(database.run(caller, insert))
        await asyncio.to_thread(_cancel_the_waiting_commit, services)
        with pytest.raises(OutcomeUnknown):
            await writing
    assert await count(database, caller) == 1


def _cancel_the_waiting_commit(services: Services) -> None:
    with psycopg.connect(services.superuser_url, autocommit=True) as connection:
        for _ in range(500):
            found = connection.execute(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
            ).fetchall()
            if found:
                return
            connection.execute("SELECT pg_sleep(0.01)")
    raise AssertionError("no commit waited for a standby")
