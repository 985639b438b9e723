"""What a consumer of the bus is, and what a read model is made of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from db.statement import Bound
from tenancy.work import UnitOfWork


class Delivered(NamedTuple):
    """An event as a consumer gets it. `xid`: the transaction that wrote it; 0 for events of releases before."""

    tenant_id: UUID
    event_id: UUID
    xid: int
    position: int
    type: str
    aggregate_type: str
    aggregate_id: UUID
    version: int
    data: Mapping[str, Any]
    occurred_at: datetime

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands in the feed."""
        return self.xid, self.position


#: Queues what these events do to the rows of a generation. It may be given events in any order, and never the same
#: one twice for a generation unless the consumer is `repeatable`.
Apply = Callable[[UnitOfWork, int, Sequence[Delivered]], None]


@dataclass(frozen=True, slots=True)
class Consumer:
    """A named reader of events. `tables`: what it fills, by generation. `checks`: the rows of each table that are not
    what the documents amount to. `repeatable`: an event applied again changes nothing."""

    name: str
    types: frozenset[str]
    apply: Apply
    tables: tuple[str, ...] = ()
    checks: tuple[Callable[..., Bound[Any]], ...] = ()
    repeatable: bool = False
