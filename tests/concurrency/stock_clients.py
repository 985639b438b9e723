"""Many clients on one shop, over connections of their own, with and without Redis before the database."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from db.errors import DomainError
from db.pool import Pool
from db.redis import connect
from db.replicas import ReplicaSet
from erp.inventory.stock import Pair, level_loads
from tenancy.database import Observers, TenantDatabase
from tenancy.locks import LockService, NoLocks
from tenancy.reads import TenantReads
from tenancy.work import UnitOfWork
from tests.services import Services
from tests.slices.inventory.shop import Shop, new_shop

T = TypeVar("T")

#: What stands between the clients and PostgreSQL: Redis as it should be, Redis forgetting everything again and
#: again, a Redis that does not answer, or nothing at all.
Guard = Literal["redis", "forgetful redis", "absent redis", "nothing"]
GUARDS: tuple[Guard, ...] = ("redis", "forgetful redis", "absent redis", "nothing")

_NOBODY_LISTENS = "redis://127.0.0.1:9/0"


@dataclass
class Rush:
    """A shop and the collisions its database had to repeat."""

    shop: Shop
    collisions: list[str] = field(default_factory=list)

    async def until_done(self, command: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """As a client would: again while the refusal says that it may help. Raises the final refusal."""
        while True:
            try:
                return await self.shop.run(command, *arguments)
            except DomainError as refusal:
                if not refusal.retryable:
                    raise

    async def behind_the_level(self, pair: Pair, *calls: Awaitable[Any]) -> list[Any]:
        """Start the calls one after the other while the level's row is held, so that they queue in this order."""
        tasks: list[asyncio.Future[Any]] = []

        async def holding(work: UnitOfWork) -> None:
            await work.load(level_loads([pair]))
            for waiting, call in enumerate(calls, start=1):
                tasks.append(asyncio.ensure_future(call))
                await self.shop.until_blocked(waiting)

        await self.shop.run(holding)
        return list(await asyncio.gather(*tasks, return_exceptions=True))

    async def all_at_once(self, calls: Iterable[Awaitable[T]]) -> tuple[list[T], list[DomainError]]:
        """What succeeded and what was refused for good; anything else is raised."""
        outcomes: Sequence[T | BaseException] = await asyncio.gather(*calls, return_exceptions=True)
        done: list[T] = []
        refused: list[DomainError] = []
        for outcome in outcomes:
            if isinstance(outcome, DomainError):
                refused.append(outcome)
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                done.append(outcome)
        return done, refused


@asynccontextmanager
async def rush_on(services: Services, guard: Guard = "redis", *, clients: int = 50) -> AsyncIterator[Rush]:
    """A fresh shop for `clients` concurrent clients, each with a connection of its own."""
    pool = Pool(services.app_url, name="rush", size=clients, wait=60, prepared=services.prepared_statements)
    await pool.open()
    redis = connect(_NOBODY_LISTENS if guard == "absent redis" else services.redis_locks_url, timeout=0.5)
    locks = NoLocks() if guard == "nothing" else LockService(redis)
    collisions: list[str] = []
    reads = TenantReads(pool, ReplicaSet([], pool))
    observers = Observers(retry=collisions.append)
    database = TenantDatabase(pool, locks=locks, reads=reads, deadline=60.0, observers=observers)
    over = asyncio.Event()
    forgetting = asyncio.create_task(_forget(redis, over)) if guard == "forgetful redis" else None
    try:
        yield Rush(await new_shop(database, services), collisions)
    finally:
        over.set()
        if forgetting is not None:
            await forgetting
        if isinstance(locks, LockService):
            await locks.close()
        await redis.aclose()
        await pool.close()


async def _forget(redis: Any, over: asyncio.Event) -> None:
    # Told to stop, not cancelled: the client may swallow a cancellation that meets its own timeout.
    while not over.is_set():
        await redis.flushdb()
        await asyncio.sleep(0.01)
