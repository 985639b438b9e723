"""What a unit of work needs of what is around it."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol, TypeVar
from uuid import UUID

from tenancy.caller import Caller

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Committed(Protocol[T_co]):
    @property
    def value(self) -> T_co: ...
    @property
    def position(self) -> int | None: ...


class Transactions(Protocol):
    """What a unit of work needs of its database: to run another command in a transaction of its own.

    `neighbours`: a `tenancy.distributed.Neighbours`, where the composition root gave one.
    """

    @property
    def neighbours(self) -> Any: ...
    async def run(self, caller: Caller, command: "Callable[[Any], Awaitable[T]]") -> Committed[T]: ...


class Ending(Protocol):
    """Ends a transaction together with others; see `tenancy.distributed`."""

    @property
    def joint(self) -> bool: ...
    def part(self) -> None: ...
    async def commit(self) -> int | None: ...
    async def end(self) -> None: ...


class Locks(Protocol):
    """Tenant-namespaced locks that keep waiters off the database; correctness never depends on them."""

    async def acquire(self, tenant_id: UUID, keys: Iterable[str]) -> Any: ...
    def release(self, handle: Any) -> None: ...
