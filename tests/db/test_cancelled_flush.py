"""A flush that is cancelled in its middle: the connection goes on or is closed, and no transaction stays behind."""

import asyncio
import contextlib
import logging
import signal
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from db.pipeline import Connection
from db.pool import Pool, flush
from db.statement import Bound
from deploy.local.binaries import version_of, which
from tests.services import Services

#: More than the socket's buffers take while the server is busy: the flush is cancelled while it still sends.
LARGE = 24 * 1024 * 1024


def sql(text: str, /, **parameters: Any) -> Bound[Any]:
    return Bound(text, parameters)


@pytest.fixture
def application() -> str:
    return f"cancelled-{uuid.uuid4().hex[:8]}"


@pytest.fixture(params=["direct", "pooled"])
async def pool(request: pytest.FixtureRequest, services: Services, application: str) -> AsyncIterator[Pool]:
    """One connection: to the server, where flushes prepare, or through the pooler, where they do not."""
    direct = request.param == "direct"
    url = services.superuser_url if direct else services.app_url
    pool = Pool(url, name="cancelled", size=1, prepared="on" if direct else "off", application=application)
    await pool.open()
    yield pool
    await pool.close()


async def state_of(services: Services, application: str) -> list[Any]:
    """(state, whether a transaction is open) of every server process of the pool."""
    async with await psycopg.AsyncConnection.connect(services.superuser_url, autocommit=True) as other:
        found = await other.execute(
            "SELECT state, backend_xid IS NOT NULL FROM pg_stat_activity WHERE application_name = %s", (application,)
        )
        return await found.fetchall()


async def sleeping(services: Services, application: str) -> None:
    """Wait until the pool's server process is inside pg_sleep."""
    async with asyncio.timeout(10):
        async with await psycopg.AsyncConnection.connect(services.superuser_url, autocommit=True) as other:
            while True:
                found = await other.execute(
                    "SELECT 1 FROM pg_stat_activity WHERE application_name = %s AND wait_event = 'PgSleep'",
                    (application,),
                )
                if await found.fetchone():
                    return
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("size", [10, LARGE], ids=["while reading", "while sending"])
async def test_nothing_of_a_cancelled_flush_stays(
    pool: Pool, services: Services, application: str, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    lock = uuid.uuid4().int >> 66

    async def write() -> None:
        async with pool.connection() as connection:
            await flush(
                connection,
                [
                    sql("BEGIN"),
                    sql("SELECT pg_advisory_xact_lock(%(lock)s::bigint)", lock=lock),
                    sql("SELECT pg_sleep(30)"),
                    sql("SELECT length(%(text)s::text)", text="x" * size),
                ],
            )

    with caplog.at_level(logging.WARNING, "psycopg"):
        writing = asyncio.create_task(write())
        await sleeping(services, application)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
    async with asyncio.timeout(5), pool.connection() as connection:
        assert await flush(connection, [sql("SELECT 1")]) == [[(1,)]]
    # The pooler may have given the server connection to another client by now; one that is in use it could not give.
    assert await state_of(services, application) in ([("idle", False)], [])
    async with await psycopg.AsyncConnection.connect(services.superuser_url, autocommit=True) as other:
        taken = await other.execute("SELECT pg_try_advisory_xact_lock(%s::bigint)", (lock,))
        assert await taken.fetchone() == (True,)
    assert [record.getMessage() for record in caplog.records] == []


async def test_what_a_cancelled_flush_did_not_prepare_is_prepared_later(
    pool: Pool, services: Services, application: str
) -> None:
    """Else the statement's name would be used on a server that never heard of it."""
    late = sql("SELECT %(n)s::int", n=7)
    async with pool.connection() as connection:
        for _ in range(2):
            await flush(connection, [late])

        async def third() -> None:
            await flush(connection, [sql("SELECT pg_sleep(30)"), late])

        waiting = asyncio.create_task(third())
        await sleeping(services, application)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        for _ in range(5):
            assert await flush(connection, [late]) == [[(7,)]]


async def test_a_flush_cancelled_at_any_moment_leaves_a_connection_that_works(
    pool: Pool, services: Services, application: str, caplog: pytest.LogCaptureFixture
) -> None:
    statements = [sql("BEGIN"), *(sql("SELECT repeat('x', %(n)s::int)", n=9000) for _ in range(40)), sql("COMMIT")]

    async def work() -> None:
        async with pool.connection() as connection:
            await flush(connection, statements)

    with caplog.at_level(logging.WARNING, "psycopg"):
        for turns in range(60):
            working = asyncio.create_task(work())
            for _ in range(turns):
                await asyncio.sleep(0)
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            async with asyncio.timeout(5), pool.connection() as connection:
                assert await flush(connection, [sql("SELECT %(n)s::int", n=turns)]) == [[(turns,)]]
    assert [record.getMessage() for record in caplog.records] == []
    assert {open_ for _, open_ in await state_of(services, application)} == {False}


async def flushed(connection: Connection) -> None:
    await flush(connection, [sql("BEGIN"), sql("SELECT pg_sleep(30)"), sql("COMMIT")])


async def executed(connection: psycopg.AsyncConnection[Any]) -> None:
    await connection.execute("SELECT pg_sleep(30)")


Frozen = Callable[[], contextlib.AbstractContextManager[None]]


@pytest.fixture
def frozen(services: Services) -> Iterator[Frozen]:
    """A primary whose postmaster stands still: requests to cancel reach it and are not served."""
    if "pgbouncer" not in services.processes:
        pytest.skip("there is no pooler on this machine")
    postmaster = services.processes["primary"].process

    @contextlib.contextmanager
    def standing_still() -> Iterator[None]:
        postmaster.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            postmaster.send_signal(signal.SIGCONT)

    yield standing_still
    if not services.processes["pgbouncer"].alive:
        services.processes.restart("pgbouncer")


async def give_up_twice(
    services: Services, application: str, frozen: Frozen, begin: Coroutine[Any, Any, None]
) -> None:
    """The second time while the pooler waits for the server to serve the first one's request to cancel."""
    told = services.processes["pgbouncer"].program.log
    before = told.stat().st_size
    working = asyncio.create_task(begin)
    await sleeping(services, application)
    with frozen():
        working.cancel()
        async with asyncio.timeout(10):
            while b"sending cancel request" not in told.read_bytes()[before:]:  # noqa: ASYNC110
                await asyncio.sleep(0.005)  # it is another process's log
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(working, 0.5)


@pytest.mark.parametrize("work", [flushed, executed])
async def test_who_gives_up_twice_leaves_the_pooler_standing(
    services: Services, application: str, frozen: Frozen, work: Callable[[Connection], Any]
) -> None:
    pool = Pool(services.app_url, name="cancelled", size=1, application=application)
    await pool.open()

    async def begin() -> None:
        async with pool.connection() as connection:
            await work(connection)

    await give_up_twice(services, application, frozen, begin())
    async with asyncio.timeout(5), pool.connection() as connection:
        assert await flush(connection, [sql("SELECT 1")]) == [[(1,)]]
    assert await state_of(services, application) in ([("idle", False)], [])
    assert services.processes["pgbouncer"].alive
    await pool.close()


async def test_a_request_to_cancel_that_is_given_up_ends_an_old_pooler(
    services: Services, application: str, frozen: Frozen
) -> None:
    """What the driver does by itself. Who connects in between may get the freed memory, and is cut off instead."""
    if version_of(which("pgbouncer") or Path(), "--version") >= (1, 20):
        pytest.skip("this pooler outlives it")
    connection = await psycopg.AsyncConnection.connect(services.app_url, application_name=application)
    await give_up_twice(services, application, frozen, executed(connection))
    assert await asyncio.to_thread(services.processes["pgbouncer"].process.wait, 10) != 0
    assert b"bad client state" in services.processes["pgbouncer"].program.log.read_bytes()


async def test_a_pool_closes_when_what_was_given_up_has_ended(services: Services, application: str) -> None:
    """Else the end of a process takes the request to cancel with it."""
    pool = Pool(services.app_url, name="cancelled", size=1, application=application)
    await pool.open()
    connection = await pool.acquire()
    working = asyncio.create_task(executed(connection))
    await sleeping(services, application)
    working.cancel()
    await asyncio.sleep(0)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    assert connection.is_ending
    await pool.release(connection)
    await pool.close()
    assert not connection.is_ending
    assert await state_of(services, application) in ([("idle", False)], [])
