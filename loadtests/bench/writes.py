"""Whether a request and the script that stands for it write the same: rows per table, counted in the database."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
from psycopg import sql

#: Written by background processes, or for many requests at a time.
_APART = frozenset({"jobs", "job_rows", "notices", "api_keys"})
#: References of orders are handed out in blocks.
_BLOCKS = "series NOT IN ('sales_order', 'purchase_order')"
_PATIENCE = 30.0

Session = psycopg.AsyncConnection[tuple[Any, ...]]


async def rows_written(url: str, action: Callable[[], Awaitable[object]]) -> dict[str, int]:
    """Run `action` on an otherwise idle fleet; table -> rows that it inserted or updated.

    `url` is a superuser's. Raises TimeoutError when the relay does not come to rest.
    """
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as session:
        await _at_rest(session)
        # Assigned now, so that every row written later carries a greater one.
        [(before,)] = await _rows(session, "SELECT pg_current_xact_id()::text::bigint")
        await action()
        found: dict[str, int] = {}
        for table, condition in await _tables(session):
            query = sql.SQL("SELECT count(*) FROM {} WHERE xmin::text::bigint > %s AND {}").format(
                sql.Identifier(table), sql.SQL(condition)
            )
            [(count,)] = await _rows(session, query, [before])
            if count:
                found[table] = count
        return found


async def _at_rest(session: Session) -> None:
    """Wait until every event is published: publishing touches rows of earlier requests."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        [(left,)] = await _rows(session, "SELECT count(*) FROM events WHERE published_at IS NULL")
        if not left:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{left} events are still unpublished after {_PATIENCE:.0f} s")
        await asyncio.sleep(0.2)


async def _tables(session: Session) -> list[tuple[str, str]]:
    """Tables of tenants and which of their rows count."""
    found = await _rows(
        session,
        "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'"
        " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND NOT a.attisdropped ORDER BY 1",
    )
    return [(name, _BLOCKS if name == "number_series" else "true") for (name,) in found if name not in _APART]


async def _rows(
    session: Session, query: str | sql.Composed, parameters: list[Any] | None = None
) -> list[tuple[Any, ...]]:
    cursor = await session.execute(query, parameters)
    return await cursor.fetchall()
