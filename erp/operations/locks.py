"""Looking at a tenant's locks, and forcing one open.

A forced lock takes nothing from its holder but the head start: its transaction goes on, and the row locks and
constraints of the database still decide against whoever comes next.
"""

from uuid import UUID, uuid5

from redis.exceptions import RedisError

from db.identifiers import new_id
from erp.operations.locks_errors import InvalidLockName, LockStoreUnavailable
from erp.operations.locks_schemas import LockView, ReleasedLockView, ReleaseLockInput
from tenancy.lock_register import LockInfo, LockListing
from tenancy.locks import LockService, is_lock_name
from tenancy.trail import Event
from tenancy.work import UnitOfWork

_NAMESPACE = UUID("0f6a3d7e-7a55-4c0c-8f0e-6f1f2a1d9b10")


def lock_view(info: LockInfo) -> LockView:
    return LockView(
        name=info.name, kind=info.name.partition(":")[0], holder=info.holder, since=info.since,
        expires_in=info.expires_in, waited_for=info.waited_for,
    )  # fmt: skip


async def held_locks(locks: LockService, tenant_id: UUID, limit: int, after: str) -> LockListing:
    """Raises LockStoreUnavailable."""
    try:
        return await locks.listing(tenant_id, limit, after)
    except RedisError as error:
        raise LockStoreUnavailable(retry_after=2) from error


async def held_lock(locks: LockService, tenant_id: UUID, name: str) -> LockInfo | None:
    """Raises InvalidLockName, LockStoreUnavailable."""
    try:
        return await locks.info(tenant_id, checked(name))
    except RedisError as error:
        raise LockStoreUnavailable(retry_after=2) from error


def checked(name: str) -> str:
    if not is_lock_name(name):
        raise InvalidLockName(name=name[:80])
    return name


class LockRelease:
    """The command that records what is about to be opened; made per request by the route, which then opens it."""

    def __init__(self, locks: LockService, name: str) -> None:
        self._locks = locks
        self._name = name

    async def __call__(self, work: UnitOfWork, data: ReleaseLockInput) -> ReleasedLockView:
        """Raises InvalidLockName, LockStoreUnavailable."""
        info = await held_lock(self._locks, work.tenant_id, self._name)
        facts = {"name": self._name, "reason": data.reason, "holder": info.holder if info else None}
        work.audit("locks.release", "lock", uuid5(_NAMESPACE, self._name), after=facts)
        work.publish(Event("lock_release", new_id(), 1, "lock.forced_open", facts))
        return ReleasedLockView(
            name=self._name, was_held=info is not None, reason=data.reason, lease=info.lease if info else None
        )


async def open_lock(locks: LockService, tenant_id: UUID, recorded: ReleasedLockView) -> None:
    """What was recorded, done: also for a repeated request, whose first attempt may have got no further than that.

    Whoever has taken the lock meanwhile keeps it. Raises LockStoreUnavailable.
    """
    if recorded.lease is None:
        return
    try:
        await locks.force_release(tenant_id, recorded.name, recorded.lease)
    except RedisError as error:
        raise LockStoreUnavailable(retry_after=2) from error
