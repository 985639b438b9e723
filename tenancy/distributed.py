"""One command for two tenants: a unit of work for each, ended together by two-phase commit.

Each unit of work keeps its own tenant and its own fence; nothing reads or writes two tenants in one transaction.
Whether one tenant may have another join is for the command to decide, from rows that both have written.
"""

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import psycopg

from db.errors import OutcomeUnknown, Overloaded, PrimaryUnavailable
from db.pool import Pool, flush
from db.statement import Bound
from db.two_phase import MAIN, DistributedAbort, DistributedTransaction, TwoPhase
from tenancy.caller import Caller, TenantFacts
from tenancy.directory import OWN_FACTS, PLACEMENT
from tenancy.protocols import Locks, Transactions
from tenancy.work import Bounds, UnitOfWork, scoped, settings_of

#: Seconds to wait for a turn among the distributed transactions of this process.
_TURN = 1.0


class Neighbours:
    """The databases of all tenants, as a command for two of them needs them. `pools`: pooled primaries by name.

    `transactions` is set by the composition root: the database that finds every tenant's own.
    """

    transactions: Transactions

    def __init__(
        self, pools: Mapping[str, Pool], two_phase: TwoPhase, *, locks: Locks, bounds: Bounds | None = None
    ) -> None:
        self.two_phase = two_phase
        self._pools = pools
        self._locks = locks
        self._bounds = bounds or Bounds()

    async def find(self, tenant_id: UUID) -> TenantFacts | None:
        """Who this tenant is and where it lives; None when there is none."""
        placed, found = await self.read(MAIN, tenant_id, PLACEMENT(), OWN_FACTS())
        if not found and placed and placed[0][0] != MAIN:
            [found] = await self.read(placed[0][0], tenant_id, OWN_FACTS())
        return TenantFacts(*found[0]) if found else None

    async def read(self, database: str, tenant_id: UUID, *statements: Bound[Any]) -> tuple[list[Any], ...]:
        """Rows of the tenant on its primary, inside its own fence. Raises PrimaryUnavailable, Overloaded."""
        body = [settings_of(tenant_id, self._bounds), *(scoped(one, tenant_id) for one in statements)]
        try:
            async with self._pool(database).connection() as connection:
                return tuple((await flush(connection, body))[1:])
        except psycopg.OperationalError as error:
            raise PrimaryUnavailable(retry_after=2) from error

    def work_for(self, caller: Caller) -> UnitOfWork:
        pool = self._pool(caller.tenant.database)
        return UnitOfWork(pool, caller, database=self.transactions, locks=self._locks, bounds=self._bounds)

    def _pool(self, database: str) -> Pool:
        if (pool := self._pools.get(database)) is None:
            raise PrimaryUnavailable(f"This instance does not know the database `{database}`.", retry_after=5)
        return pool


async def join(work: UnitOfWork, caller: Caller) -> UnitOfWork:
    """A unit of work for another tenant that commits when `work` does, or not at all. Raises Overloaded."""
    neighbours: Neighbours = work.database.neighbours
    if work.ending is None:
        try:
            async with asyncio.timeout(_TURN):
                await neighbours.two_phase.turns.acquire()
        except TimeoutError:
            raise Overloaded("Too many distributed transactions are under way.", retry_after=1) from None
        work.ending = _Together(work, neighbours)
    assert isinstance(work.ending, _Together)
    return work.ending.joined(caller)


class _Together:
    """The units of work that end together; `first` is the one the request came for."""

    def __init__(self, first: UnitOfWork, neighbours: Neighbours) -> None:
        self._first = first
        self._neighbours = neighbours
        self._partners: list[UnitOfWork] = []
        self._turn = True
        self.joint = True

    def part(self) -> None:
        """The first one goes on alone (to record why it was refused); the others are rolled back when all end."""
        self.joint = False

    def joined(self, caller: Caller) -> UnitOfWork:
        for partner in self._partners:
            if partner.tenant_id == caller.tenant.id:
                return partner
        partner = self._neighbours.work_for(caller)
        self._partners.append(partner)
        return partner

    async def commit(self) -> int | None:
        """Prepare everywhere, decide, commit everywhere; the position of the first one's commit.

        Raises DistributedAbort, OutcomeUnknown, and whatever refuses one of them: then none has happened.
        """
        transaction = self._neighbours.two_phase.begin()
        try:
            for work in (self._first, *self._partners):
                await self._prepare(transaction, work)
        except BaseException:
            await asyncio.shield(transaction.abandon())
            raise
        self._first.committing = True
        try:
            positions = await transaction.commit()
        except DistributedAbort:
            await asyncio.shield(transaction.abandon())
            raise
        if 0 not in positions:
            raise OutcomeUnknown("It is decided, but the database does not answer.", retry_after=5)
        for partner in self._partners:
            await partner.run_after_commit()
        return positions[0]

    @staticmethod
    async def _prepare(transaction: DistributedTransaction, work: UnitOfWork) -> None:
        gid = transaction.branch(work.tenant.database)
        try:
            await work.prepare(gid)
        except OutcomeUnknown as doubt:
            # Prepared here, but on no standby: nothing is decided yet, so it can still be taken back.
            raise DistributedAbort(doubt.detail, retry_after=1) from doubt
        transaction.prepared(gid)

    async def end(self) -> None:
        try:
            for partner in self._partners:
                await partner.end()
        finally:
            if self._turn:
                self._turn = False
                self._neighbours.two_phase.turns.release()
