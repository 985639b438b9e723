"""Resolves what coordinators left prepared: from the decision log, and by abort where the log has no decision.

Any number may run, beside living coordinators. An abort is written into the log before anybody is told of it, so
that a coordinator that was only slow finds it decided; and before a commit is repeated, a write to the log makes
sure that a standby holds the decision, too.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from db.errors import DomainError
from db.pool import flush
from db.statement import Bound
from db.two_phase import MAIN, PREFIX, STEP, Gid, TwoPhase, decide, parse_gid

_BEGIN: Bound[Any] = Bound("BEGIN", {})
_COMMIT: Bound[Any] = Bound("COMMIT", {})
_ABSENT = (psycopg.Error, DomainError, OSError, TimeoutError)

#: Nobody else's: another role could not be resolved from here anyway. Every one counts for the alert.
_LIST: Bound[Any] = Bound(
    "SELECT gid, extract(epoch FROM clock_timestamp() - prepared)::float, owner = current_user"
    " FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared",
    {},
)
_UNFINISHED: Bound[Any] = Bound(
    "SELECT id, participants FROM two_phase_decisions WHERE finished_at IS NULL AND decision = 'commit'"
    " ORDER BY decided_at LIMIT 500",
    {},
)
#: Read by writing: committed with a standby's confirmation, it proves that the decision itself is there.
_CONFIRM = (
    "UPDATE two_phase_decisions SET attempts = attempts + 1 WHERE id = ANY (%(ids)s::uuid[]) RETURNING id, decision"
)


class Prepared(NamedTuple):
    """A prepared transaction of one database. `gid` None: not one of ours. `age` in seconds."""

    database: str
    name: str
    gid: Gid | None
    age: float


@dataclass(slots=True)
class Findings:
    """One pass: what was prepared where, which databases did not answer, and what was done."""

    prepared: dict[str, list[Prepared]] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    committed: int = 0
    aborted: int = 0

    @property
    def acted(self) -> bool:
        return self.committed + self.aborted > 0


class Recovery:
    """`grace`: for so many seconds a transaction without a decision is left to its coordinator."""

    def __init__(self, two_phase: TwoPhase, *, grace: float = 10.0) -> None:
        self._two_phase = two_phase
        self._grace = grace

    async def run(self, seen: Callable[[Findings], None] = lambda findings: None) -> Findings:
        """One pass; `seen` is told what was found before anything is done, also when nothing can be.

        Raises psycopg.Error, DomainError, TimeoutError when the log does not answer.
        """
        # Before the list: what is decided by now and not listed then is not prepared any more.
        [unfinished] = await asyncio.gather(self._unfinished(), return_exceptions=True)
        findings = await self.look()
        seen(findings)
        if isinstance(unfinished, BaseException):
            raise unfinished
        ours = [one for found in findings.prepared.values() for one in found if one.gid is not None]
        await self._resolve(ours, findings)
        listed, held = set(findings.prepared), {one.gid.transaction for one in ours if one.gid is not None}
        done = [id_ for id_, participants in unfinished if id_ not in held and set(participants) <= listed]
        if done:
            await self._two_phase.note_finished(done)
        return findings

    async def look(self) -> Findings:
        """What is prepared, changing nothing."""
        findings = Findings()
        names = list(self._two_phase.direct)
        listed = await asyncio.gather(*(self._list(name) for name in names))
        for name, found in zip(names, listed, strict=True):
            if found is None:
                findings.absent.append(name)
            else:
                findings.prepared[name] = found
        return findings

    async def settle(self, transaction: UUID) -> str:
        """Resolve one transaction now, whatever its age; "commit" or "abort" as the log has it from now on.

        Errors as `run`; LookupError when nothing is prepared under this id.
        """
        findings = await self.look()
        held = [one for found in findings.prepared.values() for one in found
                if one.gid is not None and one.gid.transaction == transaction]  # fmt: skip
        if not held:
            raise LookupError(str(transaction))
        decisions = await self._decisions([transaction], held, "an operator asked")
        await self._carry_out(held, decisions, findings)
        return decisions[transaction]

    async def _resolve(self, held: Sequence[Prepared], findings: Findings) -> None:
        if not held:
            return
        by_id: dict[UUID, list[Prepared]] = {}
        for one in held:
            assert one.gid is not None
            by_id.setdefault(one.gid.transaction, []).append(one)
        given_up = [one for found in by_id.values() for one in found
                    if min(other.age for other in found) >= self._grace]  # fmt: skip
        decisions = await self._decisions(list(by_id), given_up)
        await self._carry_out(held, decisions, findings)

    async def decided(self, ids: list[UUID]) -> dict[UUID, str]:
        """What the log says of these; an id that is not in it is not decided yet."""
        return await self._decisions(ids, ())

    async def _decisions(
        self, ids: list[UUID], given_up: Sequence[Prepared], reason: str = "no decision when its time was over"
    ) -> dict[UUID, str]:
        """What the log says of these; those given up are decided now where they were not."""
        aborts = {one.gid.transaction: decide(one.gid, "abort", [], reason)
                  for one in given_up if one.gid is not None}  # fmt: skip
        statements = [_BEGIN, *aborts.values(), Bound(_CONFIRM, {"ids": ids}), _COMMIT]
        async with asyncio.timeout(STEP), self._two_phase.direct[MAIN].connection() as connection:
            results = await flush(connection, statements)
            if connection.durability_in_doubt:
                raise TimeoutError("no standby has confirmed the log")
        return dict(results[-2])

    async def _carry_out(self, held: Sequence[Prepared], decisions: dict[UUID, str], findings: Findings) -> None:
        for one in held:
            assert one.gid is not None
            match decisions.get(one.gid.transaction):
                case "commit":
                    done = await self._two_phase.commit_prepared(one.database, one.gid) is not None
                    findings.committed += done
                case "abort":
                    findings.aborted += await self._two_phase.roll_back_prepared(one.database, one.gid)

    async def _unfinished(self) -> list[tuple[UUID, list[str]]]:
        async with asyncio.timeout(STEP), self._two_phase.direct[MAIN].connection() as connection:
            [rows] = await flush(connection, [_UNFINISHED])
        return rows

    async def _list(self, database: str) -> list[Prepared] | None:
        try:
            async with asyncio.timeout(STEP), self._two_phase.direct[database].connection() as connection:
                [rows] = await flush(connection, [_LIST])
        except _ABSENT:
            return None
        return [
            Prepared(database, name, parse_gid(name) if own and name.startswith(PREFIX) else None, age)
            for name, age, own in rows
        ]


async def patiently(recovery: Recovery, seconds: float) -> Findings:
    """Passes until nothing of ours is prepared or the time is over; what the last one found."""
    deadline = time.monotonic() + seconds
    while True:
        findings = await recovery.run()
        left = [one for found in findings.prepared.values() for one in found if one.gid is not None]
        if (not left and not findings.absent) or time.monotonic() >= deadline:
            return findings
        await asyncio.sleep(0.2)
