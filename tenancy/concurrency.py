"""The two ways to keep rivals from losing each other's changes, so that a command says which one it takes.

Pessimistic: lock first, then decide. For what many change at once (stock, documents, open items): a rival waits, and
nobody's work is thrown away. Optimistic: read without a lock, write only over the version that was read. For what
people edit and seldom two at once: readers and rivals never wait, the loser runs again on what it did not see.
Either way the whole command is repeated on a collision (`TenantDatabase`: five times at most, with jitter), then
refused with 503 `contention`.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Update, func, literal, select

from db.statement import Bound, Statement
from tenancy.locks import MANY
from tenancy.work import UnitOfWork


def over_version(write: Update) -> Statement[Any]:
    """An update by id and version read that is a serialization failure (40001) when the version is another by now.

    Raised by the database, so that the write travels with the commit: no round trip to look whether it took.
    """
    written = write.returning(literal(1).label("one")).cte("written")
    return Statement(select(func.refuse_stale()).where(~select(written.c.one).exists()))


def optimistic_save(work: UnitOfWork, statement: Bound[Any]) -> None:
    """Queue a write made by `over_version`. Raises ValueError for one that would overwrite whatever is there.

    With an If-Match the repeated command finds another version than it expects: VersionConflict.
    """
    if "refuse_stale" not in statement.sql:
        raise ValueError(f"this statement compares no version: {statement.sql[:60]}")
    work.save(statement)


async def pessimistic_load(work: UnitOfWork, *statements: Bound[Any]) -> tuple[list[Any], ...]:
    """Rows locked until the commit by statements that lock in the order of their keys, in one round trip.

    The statements come in the global order (`LockRank`). Raises ValueError for one that locks nothing.
    """
    for statement in statements:
        if " FOR " not in statement.sql:
            raise ValueError(f"this statement locks nothing: {statement.sql[:60]}")
    return await work.load(*statements)


class LockRank(IntEnum):
    """The global lock order: whatever is locked behind something else has a higher rank or a higher key."""

    PERIOD = 0
    DOCUMENT = 1
    #: A customer with a credit limit, while its exposure is counted.
    PARTY = 2
    STOCK_LEVEL = 3
    COST = 4
    OPEN_ITEM = 5
    NUMBER_SERIES = 6


@dataclass(frozen=True, slots=True, order=True)
class Claim:
    """A row that will be locked: `key` is what its table is locked by. `name`: its lock in Redis, none when empty."""

    rank: LockRank
    table: str
    key: tuple[UUID, ...]
    name: str = field(default="", compare=False)


#: The statement that locks these keys of one table, in their order.
Locking = Callable[[list[tuple[UUID, ...]]], Bound[Any]]
_LOCKING: dict[str, Locking] = {}


def locked_by(table: str, statement: Locking) -> None:
    """Declare how rows of the table are locked; slices do that where their statements are."""
    _LOCKING[table] = statement


#: What commands of one kind, run for these targets, are going to lock.
Claims = Callable[[UnitOfWork, list[UUID]], Awaitable[list[Claim]]]


async def lock_in_order(work: UnitOfWork, claims: Iterable[Claim]) -> None:
    """Lock all of it, each row before any other that stands behind it in the global order.

    The names in Redis in one step, then the rows in one round trip. Several commands in one transaction would each
    lock in order, and together in none. Raises LockTimeout.
    """
    ordered = sorted(set(claims))
    names = {claim.name for claim in ordered if claim.name}
    if 0 < len(names) <= MANY:  # more are free at once hardly ever
        await work.hold_locks(names)
    keys: dict[str, list[tuple[UUID, ...]]] = {}
    for claim in ordered:
        keys.setdefault(claim.table, []).append(claim.key)
    if keys:
        await pessimistic_load(work, *(_LOCKING[table](found) for table, found in keys.items()))


async def lock_targets(work: UnitOfWork, targets: Iterable[tuple[Claims, UUID]]) -> None:
    """`lock_in_order` for the targets of several commands; what each will lock is asked for once a kind."""
    by_kind: dict[Claims, list[UUID]] = {}
    for claims_of, target in targets:
        by_kind.setdefault(claims_of, []).append(target)
    found: list[Claim] = []
    for claims_of, ids in by_kind.items():
        found += await claims_of(work, ids)
    await lock_in_order(work, found)
