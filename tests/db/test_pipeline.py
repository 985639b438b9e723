"""Flushes on a real server: values, errors, prepared statements, cancellation, lost connections."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.pq import TransactionStatus
from psycopg.types.json import Jsonb

from db.arrays import array_literal
from db.pool import Pool, flush
from db.statement import Bound
from tests.services import Services


def sql(text: str, **parameters: Any) -> Bound[Any]:
    return Bound(text, parameters)


@pytest.fixture(params=["off", "on"])
async def pool(request: pytest.FixtureRequest, services: Services) -> AsyncIterator[Pool]:
    """Direct to the server, where statements may be prepared."""
    pool = Pool(services.superuser_url, name="direct", size=2, prepared=request.param)
    await pool.open()
    yield pool
    await pool.close()


VALUES: list[Any] = [
    None, True, 7, 2**40, Decimal("12.3400"), Decimal("1E+3"), Decimal("-0.000001"),
    "O'Reilly \"x\" \\ %s {a,b}\n", "",
    uuid.uuid4(), date(2024, 2, 29), datetime(2024, 2, 29, 12, 30, 1, 5, UTC),
]  # fmt: skip


async def test_values_come_back_as_they_went(pool: Pool) -> None:
    kinds = {bool: "boolean", int: "bigint", Decimal: "numeric", str: "text", uuid.UUID: "uuid", date: "date",
             datetime: "timestamptz", type(None): "text"}  # fmt: skip
    async with pool.connection() as connection:
        for _ in range(5):
            for value in VALUES:
                [[(found,)]] = await flush(connection, [sql(f"SELECT %(v)s::{kinds[type(value)]}", v=value)])
                assert found == value
                [[(found,)]] = await flush(
                    connection, [sql(f"SELECT CAST(%(v)s AS {kinds[type(value)]}[])", v=[value, None, value])]
                )
                assert found == [value, None, value]


async def test_json_goes_through_arrays(pool: Pool) -> None:
    documents = [{"a": 'it\'s "quoted" \\ {x}'}, {"b": [1, 2, None]}, {}]
    async with pool.connection() as connection:
        [[(found,)]] = await flush(
            connection, [sql("SELECT CAST(%(v)s AS jsonb[])", v=[Jsonb(one) for one in documents])]
        )
    assert found == documents


@given(
    st.lists(
        st.one_of(st.none(), st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
    )
)
def test_any_text_survives_the_array_literal(texts: list[str | None]) -> None:
    literal = array_literal(texts)
    assert literal is not None
    assert literal.decode().count("NULL") >= texts.count(None)


async def test_one_parameter_used_twice_is_sent_once(pool: Pool) -> None:
    async with pool.connection() as connection:
        [[row]] = await flush(connection, [sql("SELECT %(a)s::int, %(b)s::int, %(a)s::int, 100 %% 7", a=1, b=2)])
    assert row == (1, 2, 1, 2)


async def test_the_first_failure_is_raised_and_the_connection_lives_on(pool: Pool) -> None:
    async with pool.connection() as connection:
        for _ in range(6):
            with pytest.raises(psycopg.errors.DivisionByZero):
                await flush(connection, [sql("SELECT 1"), sql("SELECT 1/%(n)s::int", n=0), sql("SELECT nonsense")])
            assert await flush(connection, [sql("SELECT 1"), sql("SELECT 2/%(n)s::int", n=1)]) == [[(1,)], [(2,)]]


async def test_a_transaction_spans_flushes(pool: Pool) -> None:
    async with pool.connection() as connection:
        await flush(connection, [sql("BEGIN"), sql("CREATE TEMP TABLE t (n int) ON COMMIT DROP")])
        assert connection.pgconn.transaction_status == TransactionStatus.INTRANS
        await flush(connection, [sql("INSERT INTO t SELECT unnest(CAST(%(n)s AS int[]))", n=[1, 2, 3])])
        results = await flush(connection, [sql("SELECT sum(n) FROM t"), sql("COMMIT")])
        assert results == [[(6,)], []]
        assert connection.pgconn.transaction_status == TransactionStatus.IDLE


async def test_a_thousand_statements_are_one_round_trip(pool: Pool) -> None:
    async with pool.connection() as connection:
        results = await flush(connection, [sql("SELECT %(n)s::int, repeat('x', 2000)", n=n) for n in range(1000)])
    assert [rows[0][0] for rows in results] == list(range(1000))


async def test_a_cancelled_flush_leaves_no_reply_for_the_next(pool: Pool) -> None:
    for number in range(20):
        waiting = asyncio.create_task(_slowly(pool))
        await asyncio.sleep(0.002 * (number % 5))
        waiting.cancel()
        with pytest.raises((asyncio.CancelledError, psycopg.Error)):
            await waiting
        async with pool.connection() as connection:
            assert await flush(connection, [sql("SELECT %(n)s::int", n=number)]) == [[(number,)]]


async def _slowly(pool: Pool) -> None:
    async with pool.connection() as connection:
        await flush(connection, [sql("SELECT 'stale'"), sql("SELECT pg_sleep(5)")])


async def test_a_terminated_backend_is_an_operational_error(pool: Pool, services: Services) -> None:
    async with pool.connection() as connection:
        [[(pid,)]] = await flush(connection, [sql("SELECT pg_backend_pid()")])
        with psycopg.connect(services.superuser_url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (pid,))
        with pytest.raises(psycopg.OperationalError):
            await flush(connection, [sql("SELECT 1")])
    async with pool.connection() as connection:
        assert await flush(connection, [sql("SELECT 1")]) == [[(1,)]]
