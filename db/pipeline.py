"""One flush over libpq's pipeline mode: everything is sent, then everything is read, one wait for both.

psycopg's own pipeline runs a cursor and a wait of the event loop per statement; a command has twenty. This
uses the same layers below (libpq wrapper, adaptation of values, waiting, cancellation) once per flush.
"""

import asyncio
import contextlib
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeVar

from psycopg import AsyncConnection, OperationalError, waiting
from psycopg.abc import PQGen, Transformer
from psycopg.adapt import PyFormat
from psycopg.adapt import Transformer as DriverTransformer
from psycopg.errors import InvalidSqlStatementName, QueryCanceled, error_from_result
from psycopg.pq import ConnStatus, ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult

from db.arrays import array_literal
from db.inbox import Inbox
from db.registry import missing, name_of
from db.scalars import scalar_texts
from db.statement import REGISTERED, Bound

R = TypeVar("R")

_PLACEHOLDER = re.compile(r"%\((\w+)\)s|%%")
#: Statements a connection keeps prepared; more are sent in full.
_MAX_PREPARED = 300
#: How often a statement is seen on a connection before it is worth preparing.
_WORTH_PREPARING = 3
_FAILED = (ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_ABORTED)
_QUIET = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK, ExecStatus.EMPTY_QUERY)


#: Seconds a request to cancel may take (a frozen server answers when it goes on), for what comes after it, and that
#: whoever gave up waits for both.
_CANCELLING, _CANCELLED, _PATIENCE = 120.0, 5.0, 1.0

#: Who prepares statements: nobody; the flush (PgBouncer >= 1.21, or none); the pooler, on each server
#: connection it opens (see db/registry.py).
Preparing = Literal["off", "on", "pooler"]


class Connection(AsyncConnection[tuple[Any, ...]]):
    """A psycopg connection with what flushes remember about it.

    `preparing`: who prepares statements. `durability_in_doubt`: a commit was told that no standby confirmed it.
    `lent_at`, `back_at`: since when it is out of the pool, and at hand for the next caller (monotonic seconds).
    `ending`: what stops a statement nobody waits for; until that is done the connection is of no use.
    """

    durability_in_doubt: bool = False
    lent_at: float = 0.0
    back_at: float = 0.0
    preparing: Preparing = "off"
    ending: "asyncio.Task[None] | None" = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.inbox = Inbox()

    async def wait(self, gen: PQGen[R], interval: float = 0.1, timeout: float | None = None) -> R:
        """psycopg's own way to wait, which watches the socket itself: for everything but flushes."""
        self.inbox.close()
        try:
            return await waiting.wait_async(gen, self.pgconn.socket, interval=interval, timeout=timeout)
        except asyncio.CancelledError:
            await self.give_up(gen)
            raise

    async def give_up(self, answers: PQGen[Any]) -> None:
        """Have the server stop and read what it still sends: after this the connection is as good as new, or closed.

        Goes on without its caller when that has no patience or is cancelled once more. A request to cancel whose
        sender leaves before it is served ends PgBouncer below 1.20 for everybody ("bad client state: 0").
        """
        if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
            self.ending = asyncio.create_task(self._end(answers))
            await asyncio.wait({self.ending}, timeout=_PATIENCE)

    async def _end(self, answers: PQGen[Any]) -> None:
        try:
            await self.cancel_safe(timeout=_CANCELLING)
            with contextlib.suppress(QueryCanceled):
                await waiting.wait_async(answers, self.pgconn.socket, timeout=_CANCELLED)
            _leave_pipeline_mode(self.pgconn)
        except BaseException:
            self.inbox.close()
            self.pgconn.finish()

    @property
    def is_ending(self) -> bool:
        return self.ending is not None and not self.ending.done()

    async def close(self) -> None:
        self.inbox.close()
        await super().close()

    def remembered(self) -> "_Memory":
        memory: _Memory | None = self.__dict__.get("_flush_memory")
        if memory is None:
            memory = self.__dict__["_flush_memory"] = _Memory(DriverTransformer(self))
        return memory


class _Memory:
    """Adaptation of values and the statements prepared on one connection."""

    __slots__ = ("named", "prepared", "seen", "values")

    def __init__(self, values: Transformer) -> None:
        self.values = values
        self.prepared: dict[Any, bytes] = {}
        self.seen: dict[Any, int] = {}
        self.named = 0


class _Positional(NamedTuple):
    """`registered`: the name under which a pooler prepares it; empty when it is not among those."""

    sql: bytes
    names: tuple[str, ...]
    registered: bytes


class _Ready(NamedTuple):
    """A statement with its values in the form libpq takes. `prepare`: the name under which to prepare it first."""

    sql: bytes
    values: Sequence[Any] | None
    types: tuple[int, ...] | None
    formats: Sequence[Format] | None
    name: bytes
    prepare: bool


@lru_cache(maxsize=8192)
def _positional(sql: str) -> _Positional:
    """`%(name)s` as `$n`; the same name is the same parameter."""
    names: dict[str, int] = {}

    def number(match: re.Match[str]) -> str:
        if (name := match[1]) is None:
            return "%"
        return f"${names.setdefault(name, len(names) + 1)}"

    text = _PLACEHOLDER.sub(number, sql).encode()
    return _Positional(text, tuple(names), name_of(text) if sql in REGISTERED else b"")


def positional(sql: str) -> bytes:
    """The text as the server gets it: `%(name)s` as `$n`."""
    return _positional(sql).sql


async def exchange(connection: Connection, statements: Sequence[Bound[Any]]) -> list[list[Any]]:
    """Send all, read all; rows per statement. The first failure raises its psycopg error."""
    preparing = connection.preparing
    if preparing == "pooler" and not missing.trusted():
        preparing = "off"
    idle = connection.pgconn.transaction_status == TransactionStatus.IDLE
    try:
        return await _exchange(connection, statements, preparing)
    except InvalidSqlStatementName:
        # A server connection from before this release was listed. In a transaction the caller must repeat it.
        missing.noted()
        if not idle or preparing != "pooler":
            raise
    if connection.pgconn.transaction_status != TransactionStatus.IDLE:
        await connection.execute("ROLLBACK")
    return await _exchange(connection, statements, "off")


async def _exchange(
    connection: Connection, statements: Sequence[Bound[Any]], preparing: Preparing
) -> list[list[Any]]:
    memory = connection.remembered()
    ready = [_adapted(memory, statement, preparing) for statement in statements]
    async with connection.lock:
        pgconn = connection.pgconn
        pgconn.enter_pipeline_mode()
        try:
            results = await _followed(connection, _send_and_fetch(pgconn, ready))
        except BaseException:
            _forget_unprepared(memory, ready)
            raise
        finally:
            if not connection.is_ending:
                _leave_pipeline_mode(pgconn)
    return _decoded(memory, statements, ready, results)


def _leave_pipeline_mode(pgconn: PGconn) -> None:
    if pgconn.status == ConnStatus.OK and not pgconn.is_busy():
        pgconn.exit_pipeline_mode()


def _adapted(memory: _Memory, statement: Bound[Any], preparing: Preparing) -> _Ready:
    sql, names, registered = _positional(statement.sql)
    if not names and not registered:
        return _Ready(sql, None, None, None, b"", False)
    values = [statement.parameters[name] for name in names]
    if registered and (texts := scalar_texts(values)) is not None:
        if preparing == "pooler":
            return _Ready(sql, texts, None, None, registered, False)
        name, prepare = _preparation(memory, (sql, None)) if preparing == "on" else (b"", False)
        return _Ready(sql, texts, None, None, name, prepare)
    dumped, types, formats = _dumped(memory.values, values)
    name, prepare = _preparation(memory, (sql, types)) if preparing == "on" else (b"", False)
    return _Ready(sql, dumped, types, formats, name, prepare)


def _dumped(transformer: Transformer, parameters: list[Any]) -> tuple[list[Any], tuple[int, ...], list[Format]]:
    """Values, type oids and formats. Arrays go as text of unknown type: every one of them is cast in its SQL."""
    arrays = {at: text for at, value in enumerate(parameters) if type(value) is list
              if (text := array_literal(value)) is not None}  # fmt: skip
    for at in arrays:
        parameters[at] = None
    values = list(transformer.dump_sequence(parameters, [PyFormat.AUTO] * len(parameters)))
    types, formats = tuple(transformer.types or ()), list(transformer.formats or ())
    for at, text in arrays.items():
        values[at] = text
    return values, types, formats


def _preparation(memory: _Memory, key: Any) -> tuple[bytes, bool]:
    """The name to run the statement under, if any, and whether it must be prepared first."""
    if (name := memory.prepared.get(key)) is not None:
        return name, False
    count = memory.seen[key] = memory.seen.get(key, 0) + 1
    if count < _WORTH_PREPARING or memory.named >= _MAX_PREPARED:
        return b"", False
    name = memory.prepared[key] = f"flush_{memory.named}".encode()
    memory.named += 1
    return name, True


async def _followed(connection: Connection, steps: PQGen[R]) -> R:
    """What the steps return. Cancelled, what runs on the server is cancelled and its answers are read."""
    inbox = connection.inbox
    try:
        wanted = next(steps)
        while wanted == waiting.WAIT_R:
            await inbox.arrival(connection.pgconn.socket)
            wanted = steps.send(waiting.READY_R)
    except StopIteration as end:
        result: R = end.value
        return result
    except asyncio.CancelledError:
        inbox.close()
        await connection.give_up(steps)
        raise
    except BaseException:
        inbox.close()
        raise
    return await connection.wait(steps)


def _send_and_fetch(pgconn: PGconn, ready: Sequence[_Ready]) -> PQGen[list[PGresult]]:
    """Results in order, one per statement and one more before each that is prepared."""
    for one in ready:
        if one.prepare:
            pgconn.send_prepare(one.name, one.sql, one.types)
        if one.name:
            pgconn.send_query_prepared(one.name, one.values, one.formats, Format.TEXT)
        else:
            pgconn.send_query_params(one.sql, one.values, one.types, one.formats, Format.TEXT)
    pgconn.pipeline_sync()
    while pgconn.flush():
        # The socket takes no more. Nothing comes in when a wait goes on elsewhere: then both sides are tried.
        state = (yield waiting.WAIT_RW) or waiting.READY_RW
        if state & waiting.READY_R:
            pgconn.consume_input()
    results: list[PGresult] = []
    while True:
        while pgconn.is_busy():
            yield waiting.WAIT_R
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            if pgconn.status == ConnStatus.BAD:
                raise OperationalError("the connection is lost")
        elif result.status == ExecStatus.PIPELINE_SYNC:
            return results
        else:
            results.append(result)


def _decoded(
    memory: _Memory, statements: Sequence[Bound[Any]], ready: Sequence[_Ready], results: list[PGresult]
) -> list[list[Any]]:
    if any(result.status not in _QUIET for result in results):
        _forget_unprepared(memory, ready)
        failed = next(result for result in results if result.status == ExecStatus.FATAL_ERROR)
        raise error_from_result(failed, encoding="utf-8")
    remaining = iter(results)
    rows: list[list[Any]] = []
    for statement, one in zip(statements, ready, strict=True):
        if one.prepare:
            next(remaining)
        rows.append(_rows(memory.values, next(remaining), statement.row))
    return rows


def _rows(values: Transformer, result: PGresult, row: Callable[..., Any] | None) -> list[Any]:
    if result.status != ExecStatus.TUPLES_OK:
        return []
    values.set_pgresult(result)
    loaded: list[Any] = values.load_rows(0, result.ntuples, tuple)
    return loaded if row is None else [row(*columns) for columns in loaded]


def _forget_unprepared(memory: _Memory, ready: Sequence[_Ready]) -> None:
    """Whether this flush got as far as preparing is not known: its new names are never used again."""
    for one in ready:
        if one.prepare:
            memory.prepared.pop((one.sql, one.types), None)
            memory.seen[(one.sql, one.types)] = 0
