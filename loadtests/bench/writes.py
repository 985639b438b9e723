"""What requests write, seen in the database: to give a script the same texts and to see that it writes as much."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

#: Written by background processes, or for many requests at a time.
_APART = frozenset({"outbox", "jobs", "job_rows", "notices", "api_keys"})
#: References of orders are handed out in blocks.
_BLOCKS = "series NOT IN ('sales_order', 'purchase_order')"
_PATIENCE = 30.0

_ANSWERS = (
    "SELECT body::text, headers::text FROM idempotency_keys WHERE xmin::text::bigint > %s ORDER BY created_at, key"
)
_EVENTS = "SELECT type, data::text FROM events WHERE xmin::text::bigint > %s"
_AUDITS = "SELECT action, before::text, after::text FROM audit_entries WHERE xmin::text::bigint > %s"

Session = psycopg.AsyncConnection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Traces:
    """What an action left: rows inserted or updated by table, and the texts of its trail.

    `texts`: `body_1` and `headers_1` of its first stored answer and so on, `event_<type>`, `before_<action>` and
    `after_<action>` of its audit entries, dots written as underscores.
    """

    rows: dict[str, int]
    texts: dict[str, str]


async def traces(url: str, action: Callable[[], Awaitable[object]]) -> Traces:
    """Run `action` on an otherwise idle fleet and see what it left. `url` is a superuser's.

    Raises TimeoutError when the relay does not come to rest.
    """
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as session:
        await _at_rest(session)
        # Assigned now, so that every row written later carries a greater one.
        [(before,)] = await _rows(session, "SELECT pg_current_xact_id()::text::bigint")
        await action()
        rows: dict[str, int] = {}
        for table, condition in await _tables(session):
            query = sql.SQL("SELECT count(*) FROM {} WHERE xmin::text::bigint > %s AND {}").format(
                sql.Identifier(table), sql.SQL(condition)
            )
            [(count,)] = await _rows(session, query, [before])
            if count:
                rows[table] = count
        return Traces(rows, await _texts(session, before))


async def _texts(session: Session, before: int) -> dict[str, str]:
    found: dict[str, str] = {}
    stored = await _rows(session, _ANSWERS, [before])
    for number, (body, headers) in enumerate(stored, 1):
        found |= {f"body_{number}": body, f"headers_{number}": headers}
    for kind, data in await _rows(session, _EVENTS, [before]):
        found[f"event_{kind.replace('.', '_')}"] = data
    for kind, earlier, later in await _rows(session, _AUDITS, [before]):
        name = kind.replace(".", "_")
        found |= {f"before_{name}": earlier or "{}", f"after_{name}": later}
    return found


async def _at_rest(session: Session) -> None:
    """Wait until every event is published: what follows from it touches rows of its own."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        [(left,)] = await _rows(session, "SELECT count(*) FROM outbox")
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
