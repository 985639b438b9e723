"""Statements run by the name a pooler prepared them under, and what happens where that name is missing."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg.pq import ExecStatus
from psycopg.types.json import Jsonb
from sqlalchemy import Date, DateTime, Interval, LargeBinary, Numeric, Text, Uuid, bindparam, select
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import JSONB

from db import registry
from db.failures import RETRYABLE
from db.pipeline import positional
from db.pool import Pool, flush
from db.registry import name_of
from db.statement import Bound, Statement
from tests.services import Services
from workers.statements import texts

_KINDS: dict[str, Any] = {
    "text": Text, "id": Uuid, "amount": Numeric, "day": Date, "moment": DateTime(timezone=True), "document": JSONB,
    "span": Interval, "bytes": LargeBinary,
}  # fmt: skip
ECHO: Statement[Any] = Statement(select(*(sql_cast(bindparam(name), kind) for name, kind in _KINDS.items())))
NUMBER: Statement[Any] = Statement(select(sql_cast(bindparam("amount"), Numeric)))


@pytest.fixture
async def pool(services: Services) -> AsyncIterator[Pool]:
    if services.prepared_statements != "pooler":
        pytest.skip("the pooler is 1.21 or newer, or there is none: clients prepare by themselves")
    registry.missing.forget()  # other tests have statements that nobody lists
    pool = Pool(services.app_url, name="named", size=1, prepared="pooler")
    await pool.open()
    yield pool
    await pool.close()
    registry.missing.forget()


def test_every_statement_can_be_prepared_without_types(services: Services) -> None:
    with psycopg.connect(services.superuser_url, autocommit=True) as connection:
        # Other tests list statements on tables of their own, which need not be there.
        for number, text in enumerate(text for text in texts() if b" test_" not in text):
            result = connection.pgconn.prepare(b"at_%d" % number, text)
            assert result.status == ExecStatus.COMMAND_OK, (text, result.error_message)


@pytest.mark.parametrize("preparing", ["off", "on"])
async def test_values_of_a_registered_statement_come_back_as_they_went(services: Services, preparing: Any) -> None:
    direct = Pool(services.superuser_url, name="direct", size=1, prepared=preparing)
    await direct.open()
    values: dict[str, Any] = {
        "text": "O'Reilly \\ {a} %s ü", "id": uuid.uuid4(), "amount": Decimal("-0.000001"), "day": date(2024, 2, 29),
        "moment": datetime(2024, 2, 29, 12, 30, 1, 5, UTC), "document": Jsonb({"a": [1, None, "ü"]}),
        "span": timedelta(days=1, microseconds=7), "bytes": b"\x00\xff",
    }  # fmt: skip
    async with direct.connection() as connection:
        for _ in range(5):
            [[row]] = await flush(connection, [ECHO(**values)])
            assert row == (*list(values.values())[:5], {"a": [1, None, "ü"]}, values["span"], values["bytes"])
            [[empty]] = await flush(connection, [ECHO(**dict.fromkeys(values))])
            assert empty == (None,) * len(values)
    await direct.close()


async def test_a_text_with_a_nul_is_refused_and_not_cut_off(services: Services) -> None:
    direct = Pool(services.superuser_url, name="direct", size=1)
    await direct.open()
    async with direct.connection() as connection:
        with pytest.raises(psycopg.DataError):
            await flush(connection, [ECHO(**{**dict.fromkeys(_KINDS), "text": "a\0b"})])
    await direct.close()


_BY_NAME: Bound[Any] = Bound(
    "SELECT generic_plans + custom_plans FROM pg_prepared_statements WHERE name = %(name)s",
    {"name": name_of(positional(NUMBER(amount=1).sql)).decode()},
)
_BEGIN: Bound[Any] = Bound("BEGIN", {})
_COMMIT: Bound[Any] = Bound("COMMIT", {})


async def test_a_standby_prepares_what_reads_and_nothing_else(services: Services) -> None:
    if services.prepared_statements != "pooler":
        pytest.skip("the pooler is 1.21 or newer, or there is none: clients prepare by themselves")
    found = {}
    for url in (services.superuser_url, services.standby_superuser_urls[0]):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SELECT prepare_statements()")
            rows = connection.execute("SELECT name, statement FROM pg_prepared_statements").fetchall()
            found[url] = {name for name, _ in rows if name.startswith("s_")}
    everywhere, reading = found[services.superuser_url], found[services.standby_superuser_urls[0]]
    assert reading < everywhere
    assert len(everywhere - reading) > 100
    with psycopg.connect(services.standby_superuser_urls[0], autocommit=True) as standby:
        listed = standby.execute("SELECT name, sql FROM prepared_statements").fetchall()
        for number, (name, sql) in enumerate(listed):
            if name in everywhere and name not in reading:
                with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                    standby.execute(_asked_with_nothing(standby, f"at_{number}", sql))


def _asked_with_nothing(connection: psycopg.Connection[Any], name: str, sql: str) -> str:
    """Prepares it here; a call with nulls: whether it may run at all is decided before any row is looked for."""
    connection.execute(f"PREPARE {name} AS {sql}")
    query = "SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = %s"
    [count] = connection.execute(query, [name]).fetchone() or (0,)
    return f"EXECUTE {name}" + (f"({', '.join(['NULL'] * count)})" if count else "")


async def test_a_registered_statement_runs_by_its_name(pool: Pool) -> None:
    async with pool.connection() as connection:
        _, [[before]], *_ = await flush(connection, [_BEGIN, _BY_NAME])
        _, [[after]], _ = await flush(connection, [NUMBER(amount=Decimal(1)), _BY_NAME, _COMMIT])
    assert after == before + 1


async def test_a_server_connection_without_the_names_costs_one_repeat(pool: Pool) -> None:
    async with pool.connection() as connection:
        await flush(connection, [Bound("DEALLOCATE ALL", {})])
        [[(found,)]] = await flush(connection, [NUMBER(amount=Decimal(7))])
        assert found == 7
        assert not registry.missing.trusted()  # the next ones go in full at once
        [[(found,)]] = await flush(connection, [NUMBER(amount=Decimal(8))])
    assert found == 8


async def test_in_a_transaction_a_missing_name_asks_for_the_transaction_again(pool: Pool) -> None:
    async with pool.connection() as connection:
        await flush(connection, [Bound("DEALLOCATE ALL", {})])
        await flush(connection, [_BEGIN])
        with pytest.raises(RETRYABLE):
            await flush(connection, [NUMBER(amount=Decimal(7)), _COMMIT])


async def test_concurrent_clients_of_few_server_connections_get_their_own_values(
    pool: Pool, services: Services
) -> None:
    many = Pool(services.app_url, name="many", size=16, prepared="pooler")
    await many.open()

    async def ask(number: int) -> None:
        for turn in range(50):
            async with many.connection() as connection:
                value = Decimal(number * 1000 + turn)
                [[(found,)], _] = await flush(connection, [NUMBER(amount=value), NUMBER(amount=-value)])
                assert found == value

    await asyncio.gather(*(ask(number) for number in range(16)))
    await many.close()
