"""The only place that begins, commits and retries: commands on the primary, reads on one replica."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, Generic, TypeVar
from uuid import UUID

from psycopg import Error

from db.consistency import parse_lsn
from db.errors import Contention, DomainError, LockTimeout, OutcomeUnknown, StatementTimeout
from db.failures import RETRYABLE, explain
from db.pool import Pool
from db.statement import Bound
from fleet.deadline import within
from tenancy.caller import Caller
from tenancy.distributed import Neighbours
from tenancy.errors import IdempotencyInFlight, IdempotencyKeyReused
from tenancy.protocols import Locks
from tenancy.reads import TenantReads
from tenancy.trail import Event, StoredAnswer, store_answer, stored_answer
from tenancy.work import Bounds, KeyClaim, Replayed, UnitOfWork

T = TypeVar("T")

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Committed(Generic[T]):
    """What a command returned, and the commit's position (None when it wrote nothing)."""

    value: T
    position: int | None


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A client's key (unique per tenant and principal) and the SHA-256 of the request it stands for."""

    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished HTTP answer, as stored for replays."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    replayed: bool = False
    position: int | None = None


def _claim_number(tenant_id: UUID, principal_id: UUID, key: str) -> int:
    digest = sha256(tenant_id.bytes + principal_id.bytes + key.encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


@dataclass(frozen=True, slots=True)
class Observers:
    """Told what becomes of transactions, idempotency keys and retries; for metrics, so they must not raise.

    `transaction`: committed, refused, retried, contention, unknown or failed, and the seconds it took. `key`:
    stored, replayed, reused or in_flight. `retry`: the collision's name.
    """

    transaction: Callable[[str, float], None] = lambda outcome, seconds: None
    key: Callable[[str], None] = lambda outcome: None
    retry: Callable[[str], None] = lambda reason: None


#: Told of the events of a transaction once it is durable, with its position, before its answer goes out.
Committal = Callable[[UUID, Sequence[Event], int | None], Awaitable[None]]


class TenantDatabase:
    """Runs commands in transactions of one tenant on the primary.

    Deadlocks, serialization failures and stale optimistic writes run the whole command again, at most five times
    with jitter;
    a command is therefore a function of the database and its arguments and has no other effect.
    `deadline` bounds one call in seconds.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        locks: Locks,
        reads: TenantReads,
        bounds: Bounds | None = None,
        deadline: float = 15.0,
        observers: Observers | None = None,
        neighbours: Neighbours | None = None,
        committed: Committal | None = None,
    ) -> None:
        self._committed = committed
        self.neighbours = neighbours
        self._pool = pool
        self._locks = locks
        self._reads = reads
        self._bounds = bounds or Bounds()
        self._deadline = deadline
        self._observers = observers or Observers()

    def bounded(self, bounds: Bounds, deadline: float) -> "TenantDatabase":
        """The same database with other time limits (workers may take longer than requests)."""
        return TenantDatabase(
            self._pool, locks=self._locks, reads=self._reads, bounds=bounds, deadline=deadline,
            observers=self._observers, neighbours=self.neighbours, committed=self._committed,
        )  # fmt: skip

    async def read(
        self, caller: Caller, *statements: Bound[Any], consistency: int | None = None
    ) -> tuple[list[Any], ...]:
        """Rows of each statement from one snapshot of a replica that has replayed `consistency`.

        `db.consistency.PRIMARY_ONLY` asks the primary. Raises ReadUnavailable, StatementTimeout.
        """
        return await self._reads.read(caller.tenant.id, caller.principal_id, statements, consistency)

    async def look_up(self, caller: Caller, statement: Bound[T], *, consistency: int | None = None) -> list[T]:
        """The rows of a statement that reads a few of them by key; as `read`, in fewer round trips when many ask."""
        return await self._reads.look_up(caller.tenant.id, caller.principal_id, statement, consistency)

    async def read_with_position(
        self, caller: Caller, *statements: Bound[Any], consistency: int | None = None
    ) -> tuple[tuple[list[Any], ...], int]:
        """As `read`, and the position a later read must have replayed not to see older data."""
        return await self._reads.read_with_position(caller.tenant.id, caller.principal_id, statements, consistency)

    async def run(self, caller: Caller, command: Callable[[UnitOfWork], Awaitable[T]]) -> Committed[T]:
        """One command in one transaction. Raises DomainError."""

        async def once(work: UnitOfWork) -> Committed[T]:
            value = await command(work)
            return Committed(value, await work.commit())

        return await self._attempt(caller, once, None, None)

    async def answer(
        self,
        caller: Caller,
        command: Callable[[UnitOfWork], Awaitable[T]],
        encode: Callable[[T], Answer],
        idempotency: Idempotency | None,
        expected_version: int | None = None,
        encode_error: Callable[[DomainError], Answer] | None = None,
    ) -> Answer:
        """One command, its answer stored in its own transaction when there is an idempotency key.

        The same key and request replay the stored answer; a business refusal (4xx) is stored too, unless
        it may succeed when repeated. Raises DomainError.
        """

        async def once(work: UnitOfWork) -> Answer:
            if idempotency is None:
                answer = encode(await command(work))
            else:
                answer = await self._remembered(work, command, encode, idempotency, encode_error)
            return replace(answer, position=await work.commit())

        try:
            answer = await self._attempt(caller, once, idempotency, expected_version)
        except Replayed as replayed:
            assert idempotency is not None
            return self._replay(replayed.stored, idempotency)
        except IdempotencyInFlight:
            self._observers.key("in_flight")
            raise
        except DomainError as refusal:
            if idempotency is None or not _final(refusal):
                raise
            return await self._refuse(caller, idempotency, refusal, encode_error)
        if idempotency is not None:
            self._observers.key("stored")
        return answer

    async def _remembered(
        self,
        work: UnitOfWork,
        command: Callable[[UnitOfWork], Awaitable[T]],
        encode: Callable[[T], Answer],
        idempotency: Idempotency,
        encode_error: Callable[[DomainError], Answer] | None,
    ) -> Answer:
        try:
            answer = encode(await command(work))
        except DomainError as refusal:
            if encode_error is None or work.wrote or not _final(refusal):
                raise
            work.forget()
            answer = encode_error(refusal)
        self._store(work, idempotency, answer)
        return answer

    async def _refuse(
        self,
        caller: Caller,
        idempotency: Idempotency,
        refusal: DomainError,
        encode_error: Callable[[DomainError], Answer] | None,
    ) -> Answer:
        """A refusal found while writing (a constraint): its transaction is gone, so it is stored in its own.

        The command may also have collided with the rows of its own earlier success: then that is replayed.
        """

        async def once(work: UnitOfWork) -> Answer:
            await work.begin()
            if encode_error is None:
                raise refusal
            answer = encode_error(refusal)
            self._store(work, idempotency, answer)
            return replace(answer, position=await work.commit())

        try:
            return await self._attempt(caller, once, idempotency, None)
        except Replayed as replayed:
            return self._replay(replayed.stored, idempotency)

    def _replay(self, stored: StoredAnswer, idempotency: Idempotency) -> Answer:
        if bytes(stored.fingerprint) != idempotency.fingerprint:
            self._observers.key("reused")
            raise IdempotencyKeyReused(key=idempotency.key)
        self._observers.key("replayed")
        # With a position, as the first answer had it: whoever lost that one still reads what it wrote.
        position = parse_lsn(stored.position)
        return Answer(stored.status, bytes(stored.body), stored.headers, replayed=True, position=position)

    @staticmethod
    def _store(work: UnitOfWork, idempotency: Idempotency, answer: Answer) -> None:
        work.remember(
            store_answer(
                work.caller.principal_id, idempotency.key, idempotency.fingerprint, answer.status,
                answer.body, answer.headers,
            )
        )  # fmt: skip

    async def _attempt(
        self,
        caller: Caller,
        once: Callable[[UnitOfWork], Awaitable[T]],
        idempotency: Idempotency | None,
        expected_version: int | None,
    ) -> T:
        for attempt in range(_ATTEMPTS):
            try:
                return await self._once(caller, once, idempotency, expected_version)
            except RETRYABLE as collision:
                self._observers.retry(type(collision).__name__)
                await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))
        self._observers.transaction("contention", 0.0)
        raise Contention(attempts=_ATTEMPTS, retry_after=1)

    async def _once(
        self,
        caller: Caller,
        once: Callable[[UnitOfWork], Awaitable[T]],
        idempotency: Idempotency | None,
        expected_version: int | None,
    ) -> T:
        claim = None
        if idempotency is not None:
            number = _claim_number(caller.tenant.id, caller.principal_id, idempotency.key)
            claim = KeyClaim(number, stored_answer(caller.principal_id, idempotency.key))
        work = UnitOfWork(
            self._pool, caller, database=self, locks=self._locks, bounds=self._bounds, claim=claim,
            expected_version=expected_version,
        )  # fmt: skip
        started, outcome = time.perf_counter(), "failed"
        try:
            async with asyncio.timeout(within(self._deadline)):
                result = await once(work)
            outcome = "committed"
        except Error as error:
            explained = self._explained(error, work, idempotency)
            outcome = _outcome(explained)
            raise explained from error
        except TimeoutError as error:
            outcome = "unknown" if work.committing else "failed"
            raise (OutcomeUnknown if work.committing else StatementTimeout)(retry_after=1) from error
        except (DomainError, Replayed) as refusal:
            outcome = _outcome(refusal)
            raise
        finally:
            if not work.ended():
                await asyncio.shield(work.end())
            self._observers.transaction(outcome, time.perf_counter() - started)
        if self._committed is not None and work.published:
            await self._committed(caller.tenant.id, work.published, work.position)
        await work.run_after_commit()
        return result

    @staticmethod
    def _explained(error: Error, work: UnitOfWork, idempotency: Idempotency | None) -> BaseException:
        if isinstance(error, RETRYABLE):
            return error
        refusal = explain(error, committing=work.committing)
        # A wait for a row names the tuple in its context; a wait for the key's own lock has none.
        if isinstance(refusal, LockTimeout) and idempotency is not None and not error.diag.context:
            return IdempotencyInFlight(retry_after=1)
        return refusal or error


def _outcome(failure: BaseException) -> str:
    if isinstance(failure, RETRYABLE):
        return "retried"
    if isinstance(failure, OutcomeUnknown):
        return "unknown"
    return "refused" if isinstance(failure, DomainError | Replayed) else "failed"


def _final(refusal: DomainError) -> bool:
    """Whether repeating the request would be refused again: only then the refusal is kept."""
    return refusal.status < 500 and not refusal.retryable and refusal.status not in (401, 403, 412, 413, 429)
