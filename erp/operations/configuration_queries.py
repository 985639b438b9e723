"""Statements on the configuration of one scope."""

from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, Integer, Text, Uuid, bindparam, cast, select, update
from sqlalchemy.dialects.postgresql import JSONB, distinct_on, insert

from db.statement import TENANT, Statement, any_of, rows_of
from erp.http.filters import eq, span
from erp.http.listing import Listing
from fleet.configuration.store import (
    configuration_changes,
    configuration_entries,
    configuration_head,
    configuration_scopes,
)

#: The state before the first change: nothing is set.
FIRST_VERSION: Final = 1


class EntryRow(NamedTuple):
    """`value` None: the scope has none of its own (any more)."""

    key: str
    value: Any
    version: int


class HistoryRow(NamedTuple):
    id: UUID
    version: int
    key: str
    revision: int
    action: str
    before: Any
    after: Any
    reason: str
    principal_id: UUID
    principal_kind: str
    principal_name: str
    correlation_id: str
    at: datetime


_entries = select(*(configuration_entries.c[name] for name in EntryRow._fields)).where(
    configuration_entries.c.tenant_id == TENANT
)
ENTRIES: Statement[EntryRow] = Statement(_entries.order_by(configuration_entries.c.key), EntryRow)
ENTRIES_OF: Statement[EntryRow] = Statement(
    _entries.where(configuration_entries.c.key == any_of("keys", Text)), EntryRow
)
SCOPE_VERSION = Statement(select(configuration_scopes.c.version).where(configuration_scopes.c.tenant_id == TENANT))

#: What held in a version: the last change of each key up to it.
VALUES_IN: Statement[tuple[Any, ...]] = Statement(
    select(configuration_changes.c.key, configuration_changes.c.after)
    .where(
        configuration_changes.c.tenant_id == TENANT,
        configuration_changes.c.version <= cast(bindparam("in_version"), Integer),
    )
    .ext(distinct_on(configuration_changes.c.key))
    .order_by(configuration_changes.c.key, configuration_changes.c.version.desc())
)

HISTORY: Listing[HistoryRow] = Listing(
    select=select(*(configuration_changes.c[name] for name in HistoryRow._fields)).where(
        configuration_changes.c.tenant_id == TENANT
    ),
    row=HistoryRow,
    key=configuration_changes.c.id,
    sorts={"version": configuration_changes.c.version},
    default="-version",
    filters={
        "key": eq(configuration_changes.c.key),
        "version": (eq(configuration_changes.c.version), span(configuration_changes.c.version)),
    },
)

# -- changing: the scope's row first, the head's last ---------------------------------------------

ENSURE_SCOPE: Statement[tuple[()]] = Statement(
    insert(configuration_scopes).values(tenant_id=TENANT, version=FIRST_VERSION).on_conflict_do_nothing()
)
LOCK_SCOPE = Statement(
    select(configuration_scopes.c.version).where(configuration_scopes.c.tenant_id == TENANT).with_for_update()
)
SET_SCOPE: Statement[tuple[()]] = Statement(
    update(configuration_scopes)
    .where(configuration_scopes.c.tenant_id == TENANT)
    .values(version=cast(bindparam("new_version"), Integer))
)
NEXT_REVISION = Statement(
    update(configuration_head)
    .values(revision=configuration_head.c.revision + 1)
    .returning(configuration_head.c.revision)
)

_given = rows_of(names=Text, new_values=JSONB)
_new_entries = insert(configuration_entries).from_select(
    ["tenant_id", "key", "value", "version"],
    select(cast(TENANT, Uuid), *_given.c, cast(bindparam("new_version"), Integer)),
)
SET_ENTRIES: Statement[tuple[()]] = Statement(
    _new_entries.on_conflict_do_update(
        index_elements=[configuration_entries.c.tenant_id, configuration_entries.c.key],
        set_={"value": _new_entries.excluded.value, "version": _new_entries.excluded.version},
    )
)

_changed = rows_of(ids=Uuid, names=Text, befores=JSONB, afters=JSONB)
_same = ("action", "reason", "principal_kind", "principal_name", "correlation_id")
_same_columns: list[ColumnElement[Any]] = [cast(bindparam(name), Text) for name in _same]
ADD_CHANGES: Statement[tuple[()]] = Statement(
    insert(configuration_changes).from_select(
        ["tenant_id", "id", "key", "before", "after", "version", "revision", "principal_id", *_same],
        select(
            cast(TENANT, Uuid), *_changed.c, cast(bindparam("new_version"), Integer),
            cast(bindparam("revision"), BigInteger), cast(bindparam("principal_id"), Uuid), *_same_columns,
        ),
    )
)  # fmt: skip
