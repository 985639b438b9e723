"""A connection given back in order is at hand for the next caller, and still comes under the pool's care."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from db.errors import Overloaded
from db.pool import Pool, flush
from db.statement import Bound
from tests.services import Services

NUMBER = Bound[Any]("SELECT pg_backend_pid()", {})


@pytest.fixture
async def pool(services: Services) -> AsyncIterator[Pool]:
    pool = Pool(services.superuser_url, name="hand", size=2, wait=0.3)
    await pool.open()
    yield pool
    await pool.close()


async def number(pool: Pool) -> int:
    async with pool.connection() as connection:
        [[(process,)]] = await flush(connection, [NUMBER])
    return int(process)


async def test_the_connection_used_last_serves_next(pool: Pool) -> None:
    first = await number(pool)
    assert [await number(pool) for _ in range(3)] == [first] * 3
    stats = pool.stats()
    assert stats["requests_num"] == 4
    assert pool.at_hand == 1


async def test_never_more_than_the_size_are_out_and_the_next_waits_in_vain(pool: Pool) -> None:
    await number(pool)
    held = [await pool.acquire(), await pool.acquire()]
    with pytest.raises(Overloaded):
        await pool.acquire()
    for connection in held:
        assert pool.give_back(connection)


async def test_who_waits_gets_what_is_given_back(pool: Pool) -> None:
    held = [await pool.acquire(), await pool.acquire()]
    waiting = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0.01)
    assert not pool.give_back(held[0])  # it has to go to the one who waits
    await pool.release(held[0])
    assert await asyncio.wait_for(waiting, 1) is held[0]
    for connection in held:
        await pool.release(connection)


async def test_an_open_transaction_is_never_at_hand(pool: Pool) -> None:
    async with pool.connection() as connection:
        await flush(connection, [Bound[Any]("BEGIN", {}), NUMBER])
        assert not pool.give_back(connection)
    async with pool.connection() as connection:
        assert connection.pgconn.transaction_status == TransactionStatus.IDLE


async def test_a_block_that_fails_or_is_cancelled_returns_its_connection(pool: Pool) -> None:
    for _ in range(5):
        with pytest.raises(psycopg.Error):
            async with pool.connection() as connection:
                await flush(connection, [Bound[Any]("SELECT 1/0", {})])
        sleeping = asyncio.create_task(_sleep(pool))
        await asyncio.sleep(0.02)
        sleeping.cancel()
        await asyncio.wait([sleeping])
    held = [await pool.acquire(), await pool.acquire()]
    for connection in held:
        await pool.release(connection)


async def _sleep(pool: Pool) -> None:
    async with pool.connection() as connection:
        await flush(connection, [Bound[Any]("SELECT pg_sleep(30)", {})])


async def test_what_nobody_uses_goes_back_to_the_pool(pool: Pool) -> None:
    await number(pool)
    for _ in range(100):
        await asyncio.sleep(0.1 if pool.at_hand else 0)
    assert not pool.at_hand
    assert pool.stats()["pool_available"] == pool.stats()["pool_size"]


async def test_closing_ends_what_is_at_hand(services: Services) -> None:
    pool = Pool(services.superuser_url, name="closing", size=2, application="closing-pool")
    await pool.open()
    await number(pool)
    await pool.close()
    async with await psycopg.AsyncConnection.connect(services.superuser_url, autocommit=True) as other:
        async with asyncio.timeout(5):
            while True:
                found = await other.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'closing-pool'"
                )
                if await found.fetchone() == (0,):
                    return
                await asyncio.sleep(0.02)
