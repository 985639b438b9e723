"""The unit of work: one tenant, one transaction on the primary, as few round trips as the command has beats."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import date, datetime
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar, overload
from uuid import UUID
from zoneinfo import ZoneInfo

from db.clock import clock
from db.consistency import parse_lsn
from db.durability import confirm_what_is_there
from db.errors import OutcomeUnknown
from db.identifiers import new_id
from db.pipeline import Connection
from db.pool import Pool, flush
from db.statement import Bound, only_reads
from db.two_phase import Gid, prepare_statement
from tenancy.caller import Caller, TenantFacts
from tenancy.errors import VersionConflict
from tenancy.fence import Bounds as Bounds
from tenancy.fence import scoped as scoped
from tenancy.fence import settings_of as settings_of
from tenancy.protocols import Ending, Locks, Transactions
from tenancy.trail import AuditEntry, Event, StoredAnswer, add_job, trail_of

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
F = TypeVar("F")
G = TypeVar("G")
H = TypeVar("H")

_BEGIN: Bound[Any] = Bound("BEGIN", {})
_COMMIT: Bound[Any] = Bound("COMMIT", {})
#: Taken after COMMIT in the same flush: one taken before would promise too little.
_POSITION: Bound[Any] = Bound("SELECT pg_current_wal_insert_lsn()::text", {})


class Replayed(Exception):
    """The idempotency key already has an answer; the command must not run."""

    def __init__(self, stored: StoredAnswer) -> None:
        super().__init__("replayed")
        self.stored = stored


class KeyClaim(NamedTuple):
    """An idempotency key: its lock's number, and the question for the answer it already has."""

    number: int
    stored: Bound[StoredAnswer]


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


class UnitOfWork:
    """Handed to every command as its first argument; only `TenantDatabase` begins and commits it.

    `load` sends what was saved so far together with its reads in one round trip; `save` queues. The
    transaction begins with the first `load`, so that locks taken before it keep no connection waiting.
    """

    def __init__(
        self,
        pool: Pool,
        caller: Caller,
        *,
        database: Transactions,
        locks: Locks,
        bounds: Bounds,
        claim: KeyClaim | None = None,
        expected_version: int | None = None,
    ) -> None:
        self.caller = caller
        self.tenant: TenantFacts = caller.tenant
        self.tenant_id: UUID = caller.tenant.id
        self.database = database
        self.now: datetime = clock.now()
        self.expected_version = expected_version
        self.committing = False
        self.ending: Ending | None = None  # set when it ends together with other tenants' transactions
        self.wrote = False  # whether anything was sent that a refusal would have to roll back
        self._pool = pool
        self._locks = locks
        self._bounds = bounds
        self._claim = claim
        self._connection: Connection | None = None
        self._begun = False
        self._queued: list[Bound[Any]] = []
        self._events: list[Event] = []
        #: What was published and written; of interest once it is committed, at `position`.
        self.published: list[Event] = []
        self.position: int | None = None
        self._entries: list[AuditEntry] = []
        self._answer: Bound[Any] | None = None
        self._held: list[Any] = []
        self._locked: set[str] = set()
        self._after_commit: list[Callable[[], Awaitable[None]]] = []

    @property
    def today(self) -> date:
        """The business date in the tenant's time zone."""
        return self.now.astimezone(_zone(self.tenant.time_zone)).date()

    # -- what commands do ------------------------------------------------------------------

    def save(self, *statements: Bound[Any]) -> None:
        """Queue writes; they travel with the next load or with the commit."""
        self._queued += [scoped(statement, self.tenant_id) for statement in statements]

    @overload
    async def load(self, a: Bound[A], /) -> tuple[list[A]]: ...
    @overload
    async def load(self, a: Bound[A], b: Bound[B], /) -> tuple[list[A], list[B]]: ...
    @overload
    async def load(self, a: Bound[A], b: Bound[B], c: Bound[C], /) -> tuple[list[A], list[B], list[C]]: ...
    @overload
    async def load(
        self, a: Bound[A], b: Bound[B], c: Bound[C], d: Bound[D], /
    ) -> tuple[list[A], list[B], list[C], list[D]]: ...
    @overload
    async def load(
        self, a: Bound[A], b: Bound[B], c: Bound[C], d: Bound[D], e: Bound[E], /
    ) -> tuple[list[A], list[B], list[C], list[D], list[E]]: ...
    @overload
    async def load(
        self, a: Bound[A], b: Bound[B], c: Bound[C], d: Bound[D], e: Bound[E], f: Bound[F], /
    ) -> tuple[list[A], list[B], list[C], list[D], list[E], list[F]]: ...
    @overload
    async def load(
        self, a: Bound[A], b: Bound[B], c: Bound[C], d: Bound[D], e: Bound[E], f: Bound[F], g: Bound[G], /
    ) -> tuple[list[A], list[B], list[C], list[D], list[E], list[F], list[G]]: ...
    @overload
    async def load(
        self, a: Bound[A], b: Bound[B], c: Bound[C], d: Bound[D], e: Bound[E], f: Bound[F], g: Bound[G],
        h: Bound[H], /,
    ) -> tuple[list[A], list[B], list[C], list[D], list[E], list[F], list[G], list[H]]: ...  # fmt: skip
    @overload
    async def load(self, *statements: Bound[Any]) -> tuple[list[Any], ...]: ...

    async def load(self, *statements: Bound[Any]) -> tuple[list[Any], ...]:
        """Send what is queued and these reads in one round trip; a list of rows per read, in order."""
        reads = [scoped(statement, self.tenant_id) for statement in statements]
        queued, self._queued = self._queued, []
        # INSERT ... RETURNING comes as a read, but a refusal after it must roll it back all the same.
        self.wrote = self.wrote or bool(queued) or not all(only_reads(read.sql) for read in reads)
        results = await self._send([*queued, *reads])
        return tuple(results[len(queued) :])

    @overload
    async def peek(self, a: Bound[A], /) -> tuple[list[A]]: ...
    @overload
    async def peek(self, a: Bound[A], b: Bound[B], /) -> tuple[list[A], list[B]]: ...
    @overload
    async def peek(self, *statements: Bound[Any]) -> tuple[list[Any], ...]: ...

    async def peek(self, *statements: Bound[Any]) -> tuple[list[Any], ...]:
        """Read on the primary before the transaction begins (to learn which keys to lock).

        Once it has begun this is a plain load. What was peeked must be read again under its locks.
        """
        if self._begun:
            return await self.load(*statements)
        reads = [scoped(statement, self.tenant_id) for statement in statements]
        async with self._pool.connection() as connection:
            results = await flush(connection, [settings_of(self.tenant_id, self._bounds), *reads])
        return tuple(results[1:])

    def publish(self, *events: Event) -> None:
        """Append domain events in this transaction; the relay carries them after it."""
        self._events += events

    def audit(
        self,
        action: str,
        target_type: str,
        target_id: UUID,
        *,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> None:
        """Record who did what to which record; `before` and `after` hold the changed fields."""
        self._entries.append(AuditEntry(action, target_type, target_id, before, after))

    def remember(self, answer: Bound[Any]) -> None:
        """Keep the answer of an idempotency key (`store_answer`); it goes with the events and the audit entry."""
        self._answer = answer

    def enqueue(
        self,
        kind: str,
        payload: Mapping[str, Any],
        *,
        queue: str = "default",
        run_at: datetime | None = None,
        unique_key: str | None = None,
        job_id: UUID | None = None,
    ) -> UUID:
        """A job row in this transaction; with `unique_key`, none while an equal one is unfinished.

        It follows from the event published last, so a command publishes what happened before it asks for what comes
        of it; without an event from what its caller follows from. `job_id`: chosen before, for rows that name it.
        """
        job_id = job_id or new_id()
        told = self._events or self.published
        self.save(
            add_job(
                job_id, queue=queue, kind=kind, payload=payload, run_at=run_at,
                unique_key=unique_key, correlation_id=self.caller.correlation_id,
                causation_id=told[-1].id if told else self.caller.causation_id,
            )
        )  # fmt: skip
        return job_id

    def after_commit(self, action: Callable[[], Awaitable[None]]) -> None:
        """Something worth doing once the change is durable; it may be lost in a crash."""
        self._after_commit.append(action)

    def check_version(self, current: int) -> None:
        """Raises VersionConflict when If-Match names another version."""
        if self.expected_version is not None and self.expected_version != current:
            raise VersionConflict(
                f"The resource is at version {current}, not {self.expected_version}.",
                current_version=current, expected_version=self.expected_version,
            )  # fmt: skip

    async def hold_locks(self, keys: Iterable[str]) -> None:
        """Take tenant-namespaced locks until the transaction's commit is sent. Raises LockTimeout."""
        missing = set(keys) - self._locked  # several commands of one batch may name the same record
        if missing:
            self._held.append(await self._locks.acquire(self.tenant_id, missing))
            self._locked |= missing

    def forgo_locks(self, keys: Iterable[str]) -> None:
        """Take none of these from here on: what they guard is locked in the database already."""
        self._locked |= set(keys)

    # -- what TenantDatabase does ----------------------------------------------------------

    async def begin(self) -> None:
        """Make sure the transaction is open and the idempotency key claimed."""
        if not self._begun:
            await self._send([])

    async def commit(self) -> int | None:
        """Flush and commit; the position of the commit, or None when there was nothing to commit."""
        if self.ending is not None and self.ending.joint:
            return await self.ending.commit()
        if not self._begun:
            if not self._queued and not self._events and not self._entries and self._claim is None:
                return None
            if self._claim is not None:
                await self.begin()
        self._connection = self._connection or await self._pool.acquire()
        self.committing = True
        # The next holder finds the commit under way and waits for our rows, not for our answer and its own question.
        self._let_go()
        return await self._finish(_COMMIT)

    async def prepare(self, gid: Gid) -> None:
        """Flush and prepare to commit: from then on only the name ends the transaction."""
        if self._claim is not None:
            await self.begin()
        await self._finish(prepare_statement(gid))

    async def _finish(self, last: Bound[Any]) -> int:
        self._leave_trail()
        queued, self._queued = self._queued, []
        async with asyncio.timeout(self._bounds.commit_wait / 1000):
            results = await self._send([*queued, last, _POSITION])
        if self._connection is not None and self._connection.durability_in_doubt:
            raise OutcomeUnknown("No standby has confirmed the commit.", retry_after=1)
        self.position = parse_lsn(results[-1][0][0])
        return self.position

    def forget(self) -> None:
        """Drop what the command wanted to write (it was refused before anything was sent)."""
        self._queued, self._events, self._entries = [], [], []
        self._after_commit = []
        if self.ending is not None:
            self.ending.part()

    def ended(self) -> bool:
        """End now if nothing has to be waited for: a committed transaction, or one that did not begin."""
        if self.ending is not None:
            return False
        if self._connection is not None and not self._pool.give_back(self._connection):
            return False
        self._connection = None
        self._let_go()
        return True

    async def end(self) -> None:
        """Return the connection (rolled back unless committed) and release the locks."""
        connection, self._connection = self._connection, None
        try:
            if connection is not None:
                await self._pool.release(connection)
        finally:
            self._let_go()
            if self.ending is not None:
                await self.ending.end()

    def _let_go(self) -> None:
        for handle in self._held:
            self._locks.release(handle)
        self._held, self._locked = [], set()

    async def run_after_commit(self) -> None:
        for action in self._after_commit:
            await action()

    async def _send(self, statements: list[Bound[Any]]) -> list[list[Any]]:
        if self._connection is None:
            self._connection = await self._pool.acquire()
        if self._begun:
            return await flush(self._connection, statements)
        claim = self._claim
        opening = [_BEGIN, settings_of(self.tenant_id, self._bounds, claim and claim.number)]
        if claim is not None:
            opening.append(scoped(claim.stored, self.tenant_id))
        self._begun = True
        results = await flush(self._connection, [*opening, *statements])
        if claim is not None and (stored := results[len(opening) - 1]):
            self.committing = True
            await confirm_what_is_there(self._connection, self._bounds.commit_wait / 1000)
            raise Replayed(stored[0])
        return results[len(opening) :]

    def _leave_trail(self) -> None:
        self.save(*trail_of(self.caller, self.now, self._events, self._entries, self._answer))
        self.published += self._events
        self._events, self._entries, self._answer = [], [], None
