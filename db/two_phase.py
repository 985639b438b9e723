"""Two-phase commit over PostgreSQL's prepared transactions: all participants commit, or none does.

The work is prepared wherever it was done, in any session; the decision is a row in the log on the first database,
committed there (and on a standby) before any participant is told to commit. No row means abort. What a coordinator
leaves behind when it dies is resolved from the log by `db.two_phase_recovery`.

The second phase and the log have direct connections of their own: a prepared transaction keeps its locks, and those
who wait for them would fill a shared pool until nobody could get through to resolve it.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
from psycopg import errors as pg

from db.consistency import parse_lsn
from db.errors import DomainError, OutcomeUnknown, PrimaryUnavailable
from db.identifiers import new_id
from db.pool import Pool, flush
from db.statement import Bound

#: The database everything lives in unless it is placed elsewhere; it holds the log.
MAIN = "main"
PREFIX = "erp2pc"

_GID = re.compile(rf"^{PREFIX}:([A-Za-z0-9._-]{{1,80}}):([0-9a-f]{{32}}):(\d{{1,3}})$")
_FOREIGN = re.compile(r"[^A-Za-z0-9._-]")
_BEGIN: Bound[Any] = Bound("BEGIN", {})
_COMMIT: Bound[Any] = Bound("COMMIT", {})
_POSITION: Bound[Any] = Bound("SELECT pg_current_wal_insert_lsn()::text", {})

_DECIDE = (
    "INSERT INTO two_phase_decisions (id, coordinator, decision, participants, reason)"
    " VALUES (%(id)s, %(coordinator)s, %(decision)s, %(participants)s::text[], %(reason)s)"
    " ON CONFLICT ON CONSTRAINT two_phase_decisions_pkey DO NOTHING RETURNING id"
)
_FINISH = (
    "UPDATE two_phase_decisions SET finished_at = clock_timestamp() WHERE id = ANY (%(ids)s::uuid[])"
    " AND finished_at IS NULL"
)

#: How long PostgreSQL may take to prepare, to log and to commit, in seconds; no timeout of the server ends a wait
#: for a standby.
STEP = 5.0


class DistributedAbort(DomainError):
    """The change over two databases was given up before it was decided; nothing was changed in either.

    Fix: repeat the request.
    """

    code = "distributed-abort"
    title = "The distributed transaction was aborted"
    status = 503
    retryable = True


@dataclass(frozen=True, slots=True)
class Gid:
    """The name of a prepared transaction: whose it is, which transaction, which of its participants."""

    coordinator: str
    transaction: UUID
    number: int

    def __str__(self) -> str:
        return f"{PREFIX}:{self.coordinator}:{self.transaction.hex}:{self.number}"


def parse_gid(text: str) -> Gid | None:
    """None for a prepared transaction that is not ours."""
    if (found := _GID.match(text)) is None:
        return None
    return Gid(found[1], UUID(found[2]), int(found[3]))


def prepare_statement(gid: Gid) -> Bound[Any]:
    """Ends the transaction it is sent in, leaving it prepared. Utility statements take no parameters."""
    return Bound(f"PREPARE TRANSACTION '{gid}'", {})


def decide(gid: Gid, decision: str, participants: list[str], reason: str = "") -> Bound[Any]:
    """A row when this decided, none when it was decided before."""
    return Bound(
        _DECIDE,
        {"id": gid.transaction, "coordinator": gid.coordinator, "decision": decision,
         "participants": participants, "reason": reason},
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Observers:
    """`outcome`: started, completed, aborted or unknown. `edge`: the points between two durable steps, as tests name
    them: begun, prepared:0, prepared:1, decided, committed:0, committed:1."""

    outcome: Callable[[str], None] = lambda outcome: None
    edge: Callable[[str], None] = lambda edge: None


@dataclass(slots=True)
class _Branch:
    gid: Gid
    database: str
    prepared: bool = False


@dataclass(slots=True)
class DistributedTransaction:
    """One transaction: branches are prepared by whoever did their work, then `commit` or `abandon` ends them."""

    two_phase: "TwoPhase"
    id: UUID = field(default_factory=new_id)
    branches: list[_Branch] = field(default_factory=list)

    def branch(self, database: str) -> Gid:
        """The name to prepare the next participant's work under; it lives in `database`."""
        gid = Gid(self.two_phase.coordinator, self.id, len(self.branches))
        self.branches.append(_Branch(gid, database))
        return gid

    def prepared(self, gid: Gid) -> None:
        self.branches[gid.number].prepared = True
        self.two_phase.observers.edge(f"prepared:{gid.number}")

    async def commit(self) -> dict[int, int]:
        """Decide, then tell every participant. Their commit positions by number, of those that confirmed.

        Raises DistributedAbort (it was given up meanwhile; participants are rolled back), OutcomeUnknown (the log
        did not answer: recovery goes by what it holds).
        """
        if not all(branch.prepared for branch in self.branches):
            raise RuntimeError("a participant is not prepared")
        await self.two_phase.log_commit(self.branches[0].gid, [branch.database for branch in self.branches])
        self.two_phase.observers.edge("decided")
        positions: dict[int, int] = {}
        for branch in self.branches:
            position = await self.two_phase.commit_prepared(branch.database, branch.gid)
            if position is not None:
                positions[branch.gid.number] = position
            self.two_phase.observers.edge(f"committed:{branch.gid.number}")
        if len(positions) == len(self.branches):
            await self.two_phase.note_finished([self.id])
        self.two_phase.observers.outcome("completed")
        return positions

    async def abandon(self) -> None:
        """Roll back what is prepared, as far as the participants answer; recovery does the rest. Never raises."""
        self.two_phase.observers.outcome("aborted")
        for branch in self.branches:
            # Also one whose preparation was not confirmed: it may have happened.
            await self.two_phase.roll_back_prepared(branch.database, branch.gid)


class TwoPhase:
    """The coordinator's side in one process. `direct`: unpooled connections by database, as the role that prepares.

    `coordinator` names the process in transaction names. At most `at_once` transactions run in one process: each
    takes a connection per participant.
    """

    def __init__(
        self, direct: Mapping[str, Pool], *, coordinator: str, observers: Observers | None = None, at_once: int = 4
    ) -> None:
        self.direct = direct
        self.coordinator = _FOREIGN.sub("-", coordinator)[:80] or "unnamed"
        self.observers = observers or Observers()
        self.turns = asyncio.Semaphore(at_once)

    def begin(self) -> DistributedTransaction:
        self.observers.outcome("started")
        self.observers.edge("begun")
        return DistributedTransaction(self)

    async def log_commit(self, gid: Gid, participants: list[str]) -> None:
        """Write the decision, on a standby too. Raises DistributedAbort, OutcomeUnknown."""
        try:
            async with asyncio.timeout(STEP), self.direct[MAIN].connection() as connection:
                _, decided, _ = await flush(connection, [_BEGIN, decide(gid, "commit", participants), _COMMIT])
                doubtful = connection.durability_in_doubt
        except (psycopg.Error, DomainError, OSError, TimeoutError) as error:
            raise OutcomeUnknown("Whether the transaction was decided is not known.", retry_after=5) from error
        if not decided:
            raise DistributedAbort("It took too long and was given up.", retry_after=1)
        if doubtful:
            raise OutcomeUnknown("No standby has confirmed the decision.", retry_after=5)

    async def commit_prepared(self, database: str, gid: Gid) -> int | None:
        """The position of the commit; None when the participant does not answer (recovery will tell it)."""
        results = await self._second_phase(database, f"COMMIT PREPARED '{gid}'")
        return None if results is None else parse_lsn(results[-1][0][0])

    async def roll_back_prepared(self, database: str, gid: Gid) -> bool:
        """Whether the participant has rolled back, or never was prepared."""
        return await self._second_phase(database, f"ROLLBACK PREPARED '{gid}'") is not None

    async def note_finished(self, transactions: list[UUID]) -> None:
        """That nobody holds them prepared any more: only for whoever looks, so an absent log is no error."""
        await self._quietly(MAIN, [Bound(_FINISH, {"ids": transactions})])

    async def _second_phase(self, database: str, statement: str) -> list[list[Any]] | None:
        # First in its flush: such a statement must not stand inside a transaction.
        return await self._quietly(database, [Bound(statement, {}), _POSITION])

    async def _quietly(self, database: str, statements: list[Bound[Any]]) -> list[list[Any]] | None:
        for _ in range(3):
            try:
                async with asyncio.timeout(STEP), self.direct[database].connection() as connection:
                    return await flush(connection, statements)
            except pg.UndefinedObject:
                # Somebody else has resolved it.
                statements = [_POSITION]
            except (psycopg.Error, DomainError, OSError, TimeoutError):
                await asyncio.sleep(0.05)
        return None

    async def open(self) -> None:
        for pool in self.direct.values():
            await pool.open()

    async def close(self) -> None:
        for pool in self.direct.values():
            await pool.close()

    def pool(self, database: str) -> Pool:
        """Raises PrimaryUnavailable for a database this process has no address of."""
        if (pool := self.direct.get(database)) is None:
            raise PrimaryUnavailable(f"This instance does not know the database `{database}`.", retry_after=5)
        return pool
