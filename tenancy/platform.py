"""The platform's own view across tenants: the coordinator's and the operator's, on few tables only.

The role behind it (`erp_platform`) is no superuser and bypasses nothing: explicit policies open the tables
that carry work between processes (tenants, events, outbox, jobs, leases, schedules) and no other.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from psycopg import Error

from db.errors import OutcomeUnknown, StatementTimeout
from db.failures import explain
from db.pipeline import Connection
from db.pool import Pool, flush
from db.statement import REGISTERED, Bound
from fleet.deadline import within

T = TypeVar("T")

_BEGIN: Bound[Any] = Bound("BEGIN", {})
_COMMIT: Bound[Any] = Bound("COMMIT", {})
#: Plans that are kept must not be those of an empty queue, which would read a long one as a whole, again and again.
#: Where only a sequential scan can do, its nominal cost must not have the plan compiled.
_BOUNDS: Bound[Any] = Bound(
    "SELECT set_config('statement_timeout', '15000', true), set_config('lock_timeout', '2000', true),"
    " set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)",
    {},
)
REGISTERED.add(_BOUNDS.sql)


class PlatformSession:
    """One transaction across tenants: `load` and `save` as in a unit of work, no tenant bound."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._queued: list[Bound[Any]] = [_BEGIN, _BOUNDS]
        #: The commit of something that may have written is on its way: what became of it is not known until it is.
        self.committing = False

    def save(self, *statements: Bound[Any]) -> None:
        self._queued += statements

    async def load(self, *statements: Bound[Any]) -> tuple[list[Any], ...]:
        """Send what is queued and these reads in one round trip; a list of rows per read."""
        queued, self._queued = self._queued, []
        results = await flush(self._connection, [*queued, *statements])
        return tuple(results[len(queued) :])

    async def commit(self) -> None:
        self.committing = True
        self.save(_COMMIT)
        await self.load()


class PlatformDatabase:
    """Runs functions in transactions of the role `erp_platform` on the primary.

    Each may take `deadline` seconds, and no longer than the work at hand may still take.
    """

    def __init__(self, pool: Pool, *, deadline: float = 30.0) -> None:
        self._pool = pool
        self._deadline = deadline

    async def run(self, function: Callable[[PlatformSession], Awaitable[T]]) -> T:
        """Begin, run, commit. Raises DomainError for what a caller may be told (StatementTimeout, OutcomeUnknown and
        DeadlineExceeded, too), else psycopg.Error."""

        async def committed(session: PlatformSession) -> T:
            result = await function(session)
            await session.commit()
            return result

        return await self._session(committed)

    async def ask(self, *statements: Bound[Any]) -> tuple[list[Any], ...]:
        """These statements as one transaction in one round trip; a list of rows per statement. Errors as `run`."""

        async def committed(session: PlatformSession) -> tuple[list[Any], ...]:
            session.committing = not all(one.sql.startswith("SELECT") for one in statements)
            return (await session.load(*statements, _COMMIT))[:-1]

        return await self._session(committed)

    async def _session(self, work: Callable[[PlatformSession], Awaitable[T]]) -> T:
        session: PlatformSession | None = None
        try:
            async with asyncio.timeout(within(self._deadline)), self._pool.connection() as connection:
                session = PlatformSession(connection)
                return await work(session)
        except TimeoutError as error:
            unknown = session is not None and session.committing
            raise (OutcomeUnknown if unknown else StatementTimeout)(retry_after=1) from error
        except Error as error:
            if refusal := explain(error, committing=False):
                raise refusal from error
            raise
