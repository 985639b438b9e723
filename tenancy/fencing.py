"""A lock for work of several transactions, with a number that its effects are checked by.

A lock in Redis ends without its holder noticing: a pause, a flush, a failover. So whoever takes one gets a number
from PostgreSQL, higher than that of everybody before it; the rows it writes carry the number, and a write is refused
where a higher one has been. Work of one transaction needs none of this: its row locks decide.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy import BigInteger, Column, Table, Text, Uuid, bindparam
from sqlalchemy.dialects.postgresql import insert

from db.errors import DomainError
from db.metadata import metadata
from db.statement import TENANT, Statement
from tenancy.caller import Caller
from tenancy.locks import Locks, execute_with_lock
from tenancy.protocols import Transactions
from tenancy.work import UnitOfWork

T = TypeVar("T")

lock_fences = Table(
    "lock_fences", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("lock_name", Text, primary_key=True),
    Column("fence", BigInteger),
)  # fmt: skip

_next = insert(lock_fences).values(tenant_id=TENANT, lock_name=bindparam("name"), fence=1)
NEXT_FENCE = Statement(
    _next.on_conflict_do_update(
        index_elements=["tenant_id", "lock_name"], set_={"fence": lock_fences.c.fence + 1}
    ).returning(lock_fences.c.fence)
)


class LockLost(DomainError):
    """While this request worked its lock passed to another one, which wrote; this one's write was refused.

    Fix: read what is there now and repeat.
    """

    code = "lock-lost"
    title = "Another request took over"
    status = 409
    retryable = True


async def next_fence(work: UnitOfWork, name: str) -> int:
    """Higher than every number of that name before it; taken when the transaction commits."""
    [[(fence,)]] = await work.load(NEXT_FENCE(name=name))
    return int(fence)


async def execute_fenced(
    locks: Locks,
    database: Transactions,
    caller: Caller,
    name: str,
    run: Callable[[int], Awaitable[T]],
    *,
    wait: float | None = None,
) -> T:
    """`run(fence)` under the caller's tenant's lock of that name. Without Redis the fence alone orders rivals.

    Whatever `run` writes has to be refused by the rows it writes to when they carry a higher number: raise LockLost
    then. Raises LockTimeout.
    """

    async def guarded() -> T:
        taken = await database.run(caller, lambda work: next_fence(work, name))
        return await run(taken.value)

    return await execute_with_lock(locks, caller.tenant.id, name, guarded, wait=wait)
