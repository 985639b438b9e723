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
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import Update, func, literal, select

from db.statement import Bound, Statement
from tenancy.locks import MANY
from tenancy.work import UnitOfWork

T = TypeVar("T")

#: What shows that a statement locks: rows, a key that is being inserted, or a gate.
_LOCKS = (" FOR ", " ON CONFLICT ", "pg_advisory_xact_lock")


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
        if not any(word in statement.sql for word in _LOCKS):
            raise ValueError(f"this statement locks nothing: {statement.sql[:60]}")
    return await work.load(*statements)


class LockRank(IntEnum):
    """The global lock order: whatever is locked behind something else has a higher rank or a higher key."""

    #: Rows made where goods come for the first time: written ahead of all locks, and waiting for a rival's.
    ARRIVAL = 0
    PERIOD = 1
    DOCUMENT = 2
    #: A customer with a credit limit, while its exposure is counted.
    PARTY = 3
    STOCK_LEVEL = 4
    COST = 5
    OPEN_ITEM = 6
    NUMBER_SERIES = 7


#: What rows of one table are locked by: ids, days, names.
Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True, order=True)
class Claim:
    """A row that will be locked: `key` is what its table is locked by. `name`: its lock in Redis, none when empty."""

    rank: LockRank
    table: str
    key: Key
    name: str = field(default="", compare=False)


#: The statements that lock these keys of one table, in their order.
Locking = Callable[[list[Any]], Iterable[Bound[Any]]]
_LOCKING: dict[str, Locking] = {}


def locked_by(table: str, statements: Locking) -> None:
    """Declare how rows of the table are locked; slices do that where what their commands claim is written."""
    _LOCKING[table] = statements


class Asked(NamedTuple, Generic[T]):
    """One of several commands, before any of them runs.

    `target`: None for a command without one. `data`: the input, None while it refers to results of earlier commands.
    """

    target: UUID | None
    data: T | None


#: What these commands of one kind are going to lock, looked up without a lock. It refuses nothing: the commands,
#: which lock and decide themselves, say what is wrong.
Claims = Callable[[UnitOfWork, list[Asked[Any]]], Awaitable[list[Claim]]]


def targets(asked: Iterable[Asked[Any]]) -> list[UUID]:
    """What the commands are done with."""
    return [one.target for one in asked if one.target is not None]


def inputs(asked: Iterable[Asked[T]]) -> list[T]:
    """The inputs that are known."""
    return [one.data for one in asked if one.data is not None]


def claims_of_documents(table: str) -> Claims:
    """The claims of commands that lock nothing but their target, a document of the table."""

    async def claims(work: UnitOfWork, asked: list[Asked[Any]]) -> list[Claim]:
        return [Claim(LockRank.DOCUMENT, table, (target,)) for target in targets(asked)]

    return claims


async def lock_in_order(work: UnitOfWork, claims: Iterable[Claim]) -> None:
    """Lock all of it, each row before any other that stands behind it in the global order.

    The names in Redis in one step, then the rows in one round trip. Several commands in one transaction would each
    lock in order, and together in none. Raises LockTimeout.
    """
    ordered = sorted(set(claims))
    names = {claim.name for claim in ordered if claim.name}
    if 0 < len(names) <= MANY:  # more are free at once hardly ever
        await work.hold_locks(names)
    keys: dict[str, list[Key]] = {}
    for claim in ordered:
        keys.setdefault(claim.table, []).append(claim.key)
    if keys:
        statements = [statement for table, found in keys.items() for statement in _LOCKING[table](found)]
        await pessimistic_load(work, *statements)
    work.forgo_locks(names)


async def lock_ahead(work: UnitOfWork, commands: Iterable[tuple[Claims | None, Asked[Any]]]) -> None:
    """`lock_in_order` for all that several commands will lock, as far as it is known before the first one runs.

    Asked for once a kind. A command that refers to earlier results for all it locks goes without, and one alone
    locks in order by itself. Raises LockTimeout.
    """
    by_kind: dict[Claims, list[Asked[Any]]] = {}
    for claims_of, asked in commands:
        if claims_of is not None and asked != (None, None):
            by_kind.setdefault(claims_of, []).append(asked)
    if sum(map(len, by_kind.values())) < 2:
        return
    found: list[Claim] = []
    for claims_of, several in by_kind.items():
        found += await claims_of(work, several)
    await lock_in_order(work, found)
