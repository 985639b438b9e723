"""A tenant's own database, whichever it is: commands, reads and the platform's view go where its rows are.

`Caller.tenant.database` says where; authentication and the job's own row have put it there. For tenants of the
first database that is one comparison.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from db.errors import DomainError, PrimaryUnavailable
from db.pool import Pool
from db.replicas import ReplicaSet
from db.statement import Bound
from db.two_phase import MAIN
from tenancy.caller import Caller
from tenancy.database import Answer, Committed, Idempotency, TenantDatabase
from tenancy.platform import PlatformDatabase
from tenancy.work import Bounds, UnitOfWork

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Placed:
    """One further database: its pools and what works on them."""

    name: str
    primary: Pool
    platform_pool: Pool
    replica_pools: tuple[Pool, ...]
    replicas: ReplicaSet
    database: TenantDatabase
    platform: PlatformDatabase

    @property
    def pools(self) -> tuple[Pool, ...]:
        return (self.primary, self.platform_pool, *self.replica_pools)


class RoutedDatabase(TenantDatabase):
    """The first database, and the way to the others for tenants placed there."""

    def route(self, placed: Mapping[str, TenantDatabase]) -> None:
        self._placed = placed

    def bounded(self, bounds: Bounds, deadline: float) -> TenantDatabase:
        found = RoutedDatabase(
            self._pool, locks=self._locks, reads=self._reads, bounds=bounds, deadline=deadline,
            observers=self._observers, neighbours=self.neighbours,
        )  # fmt: skip
        found.route({name: one.bounded(bounds, deadline) for name, one in self._placed.items()})
        return found

    async def read(
        self, caller: Caller, *statements: Bound[Any], consistency: int | None = None
    ) -> tuple[list[Any], ...]:
        if caller.tenant.database == MAIN:
            return await super().read(caller, *statements, consistency=consistency)
        return await self._home(caller).read(caller, *statements, consistency=consistency)

    async def look_up(self, caller: Caller, statement: Bound[T], *, consistency: int | None = None) -> list[T]:
        if caller.tenant.database == MAIN:
            return await super().look_up(caller, statement, consistency=consistency)
        return await self._home(caller).look_up(caller, statement, consistency=consistency)

    async def read_with_position(
        self, caller: Caller, *statements: Bound[Any], consistency: int | None = None
    ) -> tuple[tuple[list[Any], ...], int]:
        if caller.tenant.database == MAIN:
            return await super().read_with_position(caller, *statements, consistency=consistency)
        return await self._home(caller).read_with_position(caller, *statements, consistency=consistency)

    async def run(self, caller: Caller, command: Callable[[UnitOfWork], Awaitable[T]]) -> Committed[T]:
        if caller.tenant.database == MAIN:
            return await super().run(caller, command)
        return await self._home(caller).run(caller, command)

    async def answer(
        self,
        caller: Caller,
        command: Callable[[UnitOfWork], Awaitable[T]],
        encode: Callable[[T], Answer],
        idempotency: Idempotency | None,
        expected_version: int | None = None,
        encode_error: Callable[[DomainError], Answer] | None = None,
    ) -> Answer:
        if caller.tenant.database == MAIN:
            return await super().answer(caller, command, encode, idempotency, expected_version, encode_error)
        return await self._home(caller).answer(caller, command, encode, idempotency, expected_version, encode_error)

    def _home(self, caller: Caller) -> TenantDatabase:
        """Raises PrimaryUnavailable for a database this process has no address of."""
        if (home := self._placed.get(caller.tenant.database)) is None:
            raise PrimaryUnavailable(
                f"This instance does not know the database `{caller.tenant.database}`.", retry_after=5
            )
        return home


class Platforms:
    """The platform's view of each database, by name; the first is `main`."""

    def __init__(self, main: PlatformDatabase, placed: Mapping[str, PlatformDatabase]) -> None:
        self.all: Mapping[str, PlatformDatabase] = {MAIN: main, **placed}

    def of(self, database: str) -> PlatformDatabase:
        """Raises PrimaryUnavailable for a database this process has no address of."""
        if (found := self.all.get(database)) is None:
            raise PrimaryUnavailable(f"This instance does not know the database `{database}`.", retry_after=5)
        return found
