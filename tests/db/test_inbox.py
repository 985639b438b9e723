"""A socket stays watched from flush to flush, and no longer than its connection holds it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from db.inbox import Inbox
from db.pool import Pool, flush
from db.statement import Bound
from tests.services import Services

NUMBER = Bound[Any]("SELECT pg_backend_pid()", {})


@pytest.fixture
async def pool(services: Services) -> AsyncIterator[Pool]:
    pool = Pool(services.superuser_url, name="inbox", size=1)
    await pool.open()
    yield pool
    await pool.close()


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0.001)


async def test_it_tells_of_every_arrival() -> None:
    here, there = socket.socketpair()
    inbox = Inbox()
    with here, there:
        for _ in range(3):
            arrival = asyncio.create_task(inbox.arrival(here.fileno()))
            await turns()
            assert not arrival.done()
            there.send(b"x")
            await asyncio.wait_for(arrival, 5)
            here.recv(1)
        inbox.close()


async def test_what_nobody_waits_for_ends_the_watch() -> None:
    """Else the event loop would report it again and again, at a full CPU."""
    here, there = socket.socketpair()
    inbox, loop = Inbox(), asyncio.get_running_loop()
    with here, there:
        there.send(b"x")
        await inbox.arrival(here.fileno())
        await turns()
        assert not loop.remove_reader(here.fileno())
        await asyncio.wait_for(inbox.arrival(here.fileno()), 5)  # and it can be waited for again
        inbox.close()


async def test_a_cancelled_wait_leaves_the_next_one_intact() -> None:
    here, there = socket.socketpair()
    inbox = Inbox()
    with here, there:
        waiting = asyncio.create_task(inbox.arrival(here.fileno()))
        await turns()
        waiting.cancel()
        await asyncio.wait([waiting])
        there.send(b"x")
        await asyncio.wait_for(inbox.arrival(here.fileno()), 5)
        inbox.close()


async def test_a_socket_with_the_number_of_a_closed_one_is_watched() -> None:
    inbox = Inbox()
    numbers = set()
    for _ in range(3):
        here, there = socket.socketpair()
        numbers.add(here.fileno())
        with here, there:
            there.send(b"x")
            await asyncio.wait_for(inbox.arrival(here.fileno()), 5)
            inbox.close()
    assert len(numbers) == 1


async def test_flushes_and_the_drivers_own_statements_take_turns(pool: Pool) -> None:
    async with pool.connection() as connection:
        for _ in range(3):
            [[(first,)]] = await flush(connection, [NUMBER])
            found = await connection.execute("SELECT pg_backend_pid()")
            assert await found.fetchone() == (first,)


@pytest.mark.parametrize("busy", [False, True], ids=["while idle", "in a flush"])
async def test_a_connection_the_server_ended_is_replaced(pool: Pool, services: Services, busy: bool) -> None:
    loop = asyncio.get_running_loop()
    async with pool.connection() as connection:
        [[(process,)]] = await flush(connection, [NUMBER])
        number = connection.fileno()
        sleeping = asyncio.create_task(flush(connection, [Bound[Any]("SELECT pg_sleep(30)", {})])) if busy else None
        await turns()
        async with await psycopg.AsyncConnection.connect(services.superuser_url, autocommit=True) as other:
            await other.execute("SELECT pg_terminate_backend(%s, 5000)", (process,))
        if sleeping is not None:
            with pytest.raises(psycopg.OperationalError):
                await sleeping
        await turns()
        assert not loop.remove_reader(number)
        with pytest.raises(psycopg.OperationalError):
            await flush(connection, [NUMBER])
    async with asyncio.timeout(10), pool.connection() as connection:
        [[(another,)]] = await flush(connection, [NUMBER])
    assert another != process
