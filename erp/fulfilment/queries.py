"""Reading fulfilments, and the trace of what led to what."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, bindparam, func, literal_column, select, union_all

from db.statement import TENANT
from erp.fulfilment.models import saga_runs
from erp.fulfilment.repository import RUN_COLUMNS, RunRow
from erp.http.filters import Filter, Parameter, eq, in_, span
from erp.http.listing import Listing
from tenancy.trail import events


class CausedRow(NamedTuple):
    event_id: UUID
    type: str
    aggregate_type: str
    aggregate_id: UUID
    version: int
    causation_id: UUID | None
    position: int
    occurred_at: datetime


FULFILMENTS: Listing[RunRow] = Listing(
    select=select(*RUN_COLUMNS).where(saga_runs.c.tenant_id == TENANT),
    row=RunRow,
    key=saga_runs.c.id,
    sorts={"created_at": saga_runs.c.created_at},
    default="-created_at",
    filters={
        "state": in_(saga_runs.c.state),
        "order_id": replace(eq(saga_runs.c.subject_id)),
        "created_at": span(saga_runs.c.created_at),
    },
)


def _trace(name: str, column: ColumnElement[Any]) -> Sequence[Parameter]:
    """What followed from events of the request, and those events: both found by index."""
    [asked] = eq(column).parameters(name)
    given = bindparam(asked.bind, type_=column.type)
    caused = events.alias("caused")
    # Written out, not a parameter: it is the condition of an index.
    of_request = and_(
        caused.c.tenant_id == TENANT, caused.c.correlation_id == given,
        literal_column("caused.causation_id IS NOT NULL"),
    )  # fmt: skip
    both = union_all(
        select(caused.c.event_id).where(of_request), select(caused.c.causation_id).where(of_request)
    ).subquery("both")
    found = events.c.event_id == func.any(func.array(select(both.c.event_id).scalar_subquery()))
    return (replace(asked, condition=and_(found, column == given)),)


CAUSATION: Listing[CausedRow] = Listing(
    select=select(*(events.c[name] for name in CausedRow._fields)).where(events.c.tenant_id == TENANT),
    row=CausedRow,
    key=events.c.event_id,
    sorts={"position": events.c.position},
    default="position",
    filters={"correlation_id": Filter(events.c.correlation_id, _trace), "type": in_(events.c.type)},
)
