"""Reads of one tenant: bound to one replica for their life, the primary within a budget when none can serve."""

import asyncio
import time
from collections.abc import Callable
from enum import Enum, auto
from typing import Any
from uuid import UUID

import psycopg

from db.consistency import PRIMARY_ONLY, parse_lsn
from db.errors import DomainError, PrimaryUnavailable, ReadUnavailable, StatementTimeout
from db.pipeline import Connection
from db.pool import Pool, flush
from db.replicas import Replica, ReplicaSet
from db.statement import Bound
from fleet.deadline import DeadlineExceeded, remaining, within
from tenancy.work import Bounds, scoped, settings_of

#: One snapshot for all statements of a read, so that a document and its lines agree.
_BEGIN: Bound[Any] = Bound("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", {})
_COMMIT: Bound[Any] = Bound("COMMIT", {})
#: After the read: what it saw is not newer than this.
_REPLAYED: Bound[Any] = Bound("SELECT pg_last_wal_replay_lsn()::text", {})
_WRITTEN: Bound[Any] = Bound("SELECT pg_current_wal_insert_lsn()::text", {})

#: Seconds a read takes at most by its other bounds; only a nearer deadline is worth a timer.
_USUAL = 7.0

#: The replica broke or cancelled the query (recovery conflict): the read may be tried elsewhere.
_ELSEWHERE = (psycopg.OperationalError, psycopg.errors.SerializationFailure, psycopg.InterfaceError)


class _How(Enum):
    """What is asked for: rows; rows and a position that covers them; a few rows by key, in a flush with others'."""

    ROWS = auto()
    WITH_POSITION = auto()
    LOOK_UP = auto()


class TenantReads:
    """Routes a read to a replica that has replayed what its caller must see, else to the primary.

    At most `catch_up` seconds are waited for a replica to replay the position; at most `primary_budget`
    reads run on the primary at once, so that lost replicas do not take the writes down with them.
    """

    def __init__(
        self,
        primary: Pool,
        replicas: ReplicaSet,
        *,
        bounds: Bounds | None = None,
        catch_up: float = 0.05,
        primary_budget: int = 8,
        observe: Callable[[str, str], None] = lambda target, reason: None,
    ) -> None:
        self._primary = primary
        self._replicas = replicas
        self._bounds = bounds or Bounds(statement_timeout=5_000, lock_timeout=1_000)
        self._catch_up = catch_up
        self._primary_turns = asyncio.Semaphore(primary_budget)
        self._observe = observe

    async def read(
        self, tenant_id: UUID, reader: UUID, statements: tuple[Bound[Any], ...], after: int | None
    ) -> tuple[list[Any], ...]:
        """The rows of each statement, all from one snapshot. Raises ReadUnavailable, StatementTimeout,
        DeadlineExceeded.
        """
        results, _ = await self._route(tenant_id, reader, statements, after, _How.ROWS)
        return results

    async def look_up(self, tenant_id: UUID, reader: UUID, statement: Bound[Any], after: int | None) -> list[Any]:
        """The rows of one statement that reads a few of them by key. Raises as `read`.

        Sent together with other callers' when many ask at once, so a statement that takes long would hold them up.
        """
        (found,), _ = await self._route(tenant_id, reader, (statement,), after, _How.LOOK_UP)
        return found

    async def read_with_position(
        self, tenant_id: UUID, reader: UUID, statements: tuple[Bound[Any], ...], after: int | None
    ) -> tuple[tuple[list[Any], ...], int]:
        """As `read`, with a position that covers everything the read may have seen."""
        return await self._route(tenant_id, reader, statements, after, _How.WITH_POSITION)

    async def _route(
        self, tenant_id: UUID, reader: UUID, statements: tuple[Bound[Any], ...], after: int | None, how: _How
    ) -> tuple[tuple[list[Any], ...], int]:
        body = self._body(tenant_id, statements)
        left = remaining()
        if left is None or left > _USUAL:
            return await self._asked(reader, body, after, how)
        try:
            async with asyncio.timeout(within(left)):
                return await self._asked(reader, body, after, how)
        except TimeoutError:
            raise DeadlineExceeded("The request's time passed while it read.", retry_after=1) from None

    async def _asked(
        self, reader: UUID, body: list[Bound[Any]], after: int | None, how: _How
    ) -> tuple[tuple[list[Any], ...], int]:
        reason = "asked" if after == PRIMARY_ONLY else "none_eligible"
        for attempt in range(len(self._replicas.replicas)):
            replica = await self._current_replica(after, reader)
            if replica is None:
                reason = reason if after in (None, PRIMARY_ONLY) else "behind"
                break
            try:
                results = await self._on_replica(replica, body, how)
            except psycopg.errors.QueryCanceled as error:
                raise StatementTimeout(retry_after=1) from error
            except _ELSEWHERE:
                replica.eject()
                reason = "failed_over"
                continue
            self._observe("replica", "failed_over" if attempt else "current")
            return results
        self._observe("primary", reason)
        return await self._on_primary(body, _WRITTEN if how is _How.WITH_POSITION else None)

    async def _on_replica(
        self, replica: Replica, body: list[Bound[Any]], how: _How
    ) -> tuple[tuple[list[Any], ...], int]:
        if how is _How.LOOK_UP:
            opening, wanted = body
            return (await replica.look_ups.rows(opening, wanted),), 0
        return await self._on(replica.pool, body, _REPLAYED if how is _How.WITH_POSITION else None)

    def _body(self, tenant_id: UUID, statements: tuple[Bound[Any], ...]) -> list[Bound[Any]]:
        settings = settings_of(tenant_id, self._bounds)
        reads = [scoped(statement, tenant_id) for statement in statements]
        if len(reads) == 1:
            # One statement is one snapshot anyway; a pipeline without BEGIN is one transaction up to its end.
            return [settings, *reads]
        return [_BEGIN, settings, *reads, _COMMIT]

    async def _current_replica(self, after: int | None, reader: UUID) -> Replica | None:
        if after == PRIMARY_ONLY:
            return None
        replica = self._replicas.choose(after, reader=reader.int)
        if replica is None or after is None or replica.replayed >= after:
            return replica
        return replica if await self._caught_up(replica, after) else None

    async def _caught_up(self, replica: Replica, after: int) -> bool:
        deadline = time.monotonic() + self._catch_up
        pause = 0.001
        while True:
            try:
                if await replica.refresh() >= after:
                    return True
            except (psycopg.Error, DomainError, OSError):
                replica.eject()
                return False
            if time.monotonic() + pause > deadline:
                return False
            await asyncio.sleep(pause)
            pause *= 2

    async def _on_primary(
        self, body: list[Bound[Any]], position: Bound[Any] | None
    ) -> tuple[tuple[list[Any], ...], int]:
        try:
            async with asyncio.timeout(within(1)):
                await self._primary_turns.acquire()
        except TimeoutError:
            raise ReadUnavailable(retry_after=1) from None
        try:
            return await self._on(self._primary, body, position)
        except psycopg.OperationalError as error:
            if isinstance(error, psycopg.errors.QueryCanceled):
                raise StatementTimeout(retry_after=1) from error
            raise PrimaryUnavailable(retry_after=2) from error
        finally:
            self._primary_turns.release()

    async def _on(
        self, pool: Pool, body: list[Bound[Any]], position: Bound[Any] | None
    ) -> tuple[tuple[list[Any], ...], int]:
        connection: Connection
        async with pool.connection() as connection:
            results = await flush(connection, [*body, position] if position else body)
        seen = parse_lsn(results[-1][0][0]) if position else 0
        reads = results[: len(body)]
        return tuple(reads[1:] if len(body) == 2 else reads[2:-1]), seen
