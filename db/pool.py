"""Bounded pools of psycopg connections, and the one way to send statements over them: a flush."""

import asyncio
import select
import time
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, TypeVar

from psycopg import OperationalError
from psycopg import errors as pg
from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from db.counting import count_flush
from db.errors import Overloaded
from db.pipeline import Connection, Preparing, exchange
from db.statement import Bound

R = TypeVar("R")

#: Seconds a connection stays at hand unused, and seconds after which it goes back to be looked at in any case.
_AT_HAND = 1.0
_TURN = 15.0
#: Seconds a pool that closes waits for statements that were given up to end.
_LEAVING = 5.0
#: What PostgreSQL warns when a commit stopped waiting for its standbys: locally done, not yet safe.
_SYNC_WAIT_CANCELLED = "canceling wait for synchronous replication"


def _watch_notices(connection: Connection) -> None:
    def note(diagnostic: pg.Diagnostic) -> None:
        if _SYNC_WAIT_CANCELLED in (diagnostic.message_primary or ""):
            connection.durability_in_doubt = True

    connection.add_notice_handler(note)


def _spoken_to(connection: Connection) -> bool:
    """Whether something came in on an idle connection, which can only be its end."""
    asked = select.poll()
    asked.register(connection.pgconn.socket, select.POLLIN)
    return bool(asked.poll(0))


class Pool:
    """At most `size` connections to one PgBouncer database; callers wait at most `wait` seconds.

    Connections live at most `max_lifetime` seconds: plans cached while tables were empty must not
    outlive the installation's first minutes. `kept`: how many stay open while nobody needs one.

    A connection that is given back in order stays at hand for the next caller: psycopg's pool, which opens,
    ages and replaces connections, takes as long for one hand-over as a small query.
    """

    def __init__(
        self,
        dsn: str,
        *,
        name: str,
        size: int,
        wait: float = 1.0,
        prepared: Preparing = "off",
        max_lifetime: float = 600.0,
        application: str = "erp",
        kept: int = 1,
    ) -> None:
        self.name = name
        self.size = size
        self._prepared = prepared
        #: At hand, the one used last at the end; how many callers wait at psycopg's pool.
        self._hand: list[Connection] = []
        self._asking = 0
        self._served = 0
        self._tidying: asyncio.TimerHandle | None = None
        self._returns: set[asyncio.Task[None]] = set()
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            dsn,
            connection_class=Connection,
            kwargs={
                "autocommit": True,
                # Flushes prepare by themselves where they may; psycopg's own statements are few.
                "prepare_threshold": None,
                "connect_timeout": 2,
                "application_name": application,
                "tcp_user_timeout": 5000,
                "keepalives_idle": 10,
            },
            min_size=kept,
            max_size=size,
            timeout=wait,
            max_waiting=size * 8,
            max_lifetime=max_lifetime,
            max_idle=120,
            reconnect_timeout=30,
            num_workers=2,
            open=False,
            configure=self._configure,
            name=name,
        )

    async def _configure(self, connection: Connection) -> None:
        _watch_notices(connection)
        connection.preparing = self._prepared

    async def open(self) -> None:
        await self._pool.open(wait=False)

    async def close(self) -> None:
        if self._tidying is not None:
            self._tidying.cancel()
        hand, self._hand = self._hand, []
        for connection in hand:
            await self._pool.putconn(connection)
        if self._returns:
            await asyncio.wait(self._returns, timeout=_LEAVING)
        await self._pool.close(timeout=2)

    def stats(self) -> dict[str, int]:
        """psycopg_pool's counters: pool_size, pool_available, requests_waiting, requests_errors, ..."""
        stats = self._pool.get_stats()
        stats["pool_available"] = stats.get("pool_available", 0) + len(self._hand)
        stats["requests_num"] = stats.get("requests_num", 0) + self._served
        return stats

    @property
    def at_hand(self) -> int:
        return len(self._hand)

    async def acquire(self) -> Connection:
        """Raises Overloaded when no connection became free in time.

        One that was closed from the other side while nobody used it (a restarted pooler) is passed over: a commit
        sent there would have an unknown outcome.
        """
        while self._hand:
            connection = self._hand.pop()
            if not _spoken_to(connection):
                self._served += 1
                return connection
            await self._discard(connection)
        for _ in range(self.size):
            connection = await self._ask()
            if not _spoken_to(connection):
                connection.lent_at = time.monotonic()
                return connection
            await self._discard(connection)
        raise Overloaded("No database connection stayed open.", retry_after=1)

    async def _discard(self, connection: Connection) -> None:
        await connection.close()
        await self._pool.putconn(connection)

    async def _ask(self) -> Connection:
        self._asking += 1
        try:
            return await self._pool.getconn()
        except (PoolTimeout, TooManyRequests) as error:
            raise Overloaded("No database connection became free in time.", retry_after=1) from error
        finally:
            self._asking -= 1

    def give_back(self, connection: Connection) -> bool:
        """Have it at hand again, without waiting. False when something is left to do: then `release` it."""
        if self._asking or connection.pgconn.transaction_status != TransactionStatus.IDLE or self._pool.closed:
            return False
        connection.durability_in_doubt = False
        connection.back_at = time.monotonic()
        self._hand.append(connection)
        if self._tidying is None:
            self._tidying = asyncio.get_running_loop().call_later(_AT_HAND, self._tidy)
        return True

    def _tidy(self) -> None:
        """Return what was not used for a moment, and what has been out for long."""
        now = time.monotonic()
        hand, self._hand = self._hand, []
        for connection in hand:
            if now - connection.back_at < _AT_HAND and now - connection.lent_at < _TURN:
                self._hand.append(connection)
            else:
                self._return(self._pool.putconn(connection))
        again = self._hand and not self._pool.closed
        self._tidying = asyncio.get_running_loop().call_later(_AT_HAND, self._tidy) if again else None

    def _return(self, work: Coroutine[Any, Any, None]) -> None:
        """Without anybody waiting for it, except `close`."""
        returning = asyncio.create_task(work)
        self._returns.add(returning)
        returning.add_done_callback(self._returns.discard)

    async def _when_ended(self, connection: Connection) -> None:
        if connection.ending is not None:
            await asyncio.wait({connection.ending})
        await self.release(connection)

    async def release(self, connection: Connection) -> None:
        """Give a connection back, rolled back when a transaction is still open on it."""
        if connection.is_ending:
            self._return(self._when_ended(connection))
            return
        connection.durability_in_doubt = False
        if connection.pgconn.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            try:
                await connection.execute("ROLLBACK")
            except OperationalError:
                await connection.close()
        await self._pool.putconn(connection)

    def connection(self) -> "_Lent":
        """`async with pool.connection() as connection`. Raises Overloaded."""
        return _Lent(self)


class _Lent:
    """A connection for the length of a block."""

    __slots__ = ("_connection", "_pool")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def __aenter__(self) -> Connection:
        self._connection = await self._pool.acquire()
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._pool.give_back(self._connection):
            await asyncio.shield(self._pool.release(self._connection))


#: Told of every flush: statement texts, start and end in nanoseconds since the epoch, the error if any.
FlushObserver = Callable[[Sequence[str], int, int, BaseException | None], None]
_observer: FlushObserver | None = None


def observe_flushes(observer: FlushObserver | None) -> None:
    """Set by the composition root when traces are recorded; None costs nothing."""
    global _observer
    _observer = observer


async def flush(connection: Connection, statements: Sequence[Bound[Any]]) -> list[list[Any]]:
    """Send all statements in one round trip; a list of rows per statement ([] when it returns none).

    The first statement that fails raises its own psycopg error; the ones behind it did not run.
    """
    return await observed(statements, exchange(connection, statements))


async def observed(statements: Sequence[Bound[Any]], answers: Coroutine[Any, Any, R]) -> R:
    """What `answers` brings, counted and told of as a flush of these statements, which another may send."""
    count_flush(statements)
    if (observer := _observer) is None:
        return await answers
    started, failure = time.time_ns(), None
    try:
        return await answers
    except BaseException as error:
        failure = error
        raise
    finally:
        observer([statement.sql for statement in statements], started, time.time_ns(), failure)
