"""The tables of the configuration, and what a process asks of them to keep its copy current.

Asked by the platform role, which sees every scope; commands change them through a unit of work.
"""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Integer,
    Table,
    Text,
    Uuid,
    bindparam,
    cast,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB

from db.metadata import metadata
from db.statement import Statement

configuration_scopes = Table(
    "configuration_scopes", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("version", Integer),
)  # fmt: skip

configuration_entries = Table(
    "configuration_entries", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("value", JSONB),
    Column("version", Integer),
)  # fmt: skip

configuration_changes = Table(
    "configuration_changes", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("version", Integer),
    Column("key", Text),
    Column("revision", BigInteger),
    Column("action", Text),
    Column("before", JSONB),
    Column("after", JSONB),
    Column("reason", Text),
    Column("principal_id", Uuid),
    Column("principal_kind", Text),
    Column("principal_name", Text),
    Column("correlation_id", Text),
    Column("at", DateTime(timezone=True)),
)  # fmt: skip

configuration_head = Table(
    "configuration_head", metadata, Column("single", Boolean, primary_key=True), Column("revision", BigInteger)
)


class ChangedValue(NamedTuple):
    """A value as changed in `revision`; None: taken back. `age`: seconds since, by the database's clock."""

    revision: int
    scope: UUID
    name: str
    value: Any
    age: float


class CurrentValue(NamedTuple):
    """A value that is set as of `revision`; scope and name are None when nothing is set at all."""

    revision: int
    scope: UUID | None
    name: str | None
    value: Any


#: What time it is where everything is written (see `db.clock`).
TIME: Statement[tuple[datetime]] = Statement(select(func.clock_timestamp()))

HEAD: Statement[tuple[Any, ...]] = Statement(select(configuration_head.c.revision))

_age = cast(func.extract("epoch", func.clock_timestamp() - configuration_changes.c.at), Float)
CHANGES_SINCE: Statement[ChangedValue] = Statement(
    select(
        configuration_changes.c.revision, configuration_changes.c.tenant_id, configuration_changes.c.key,
        configuration_changes.c.after, _age,
    )
    .where(configuration_changes.c.revision > cast(bindparam("seen"), BigInteger))
    .order_by(configuration_changes.c.revision),
    ChangedValue,
)  # fmt: skip

#: With its revision from the same snapshot, or a change between two statements would be missed for ever.
EVERY_VALUE: Statement[CurrentValue] = Statement(
    select(
        configuration_head.c.revision, configuration_entries.c.tenant_id, configuration_entries.c.key,
        configuration_entries.c.value,
    ).select_from(
        configuration_head.outerjoin(configuration_entries, configuration_entries.c.value.is_not(None))
    ),
    CurrentValue,
)  # fmt: skip
