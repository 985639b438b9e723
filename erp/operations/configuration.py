"""Changing what is configured: validated, compared, all or nothing, with history, event and audit entry.

The scope follows from the credential: a tenant's own, or the system's for the platform's operator.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid5

from msgspec import UNSET
from psycopg.types.json import Jsonb

from db.identifiers import new_id
from db.statement import Bound
from erp.http.strict_json import escape_pointer
from erp.kernel.errors import Invalid
from erp.operations.configuration_errors import (
    InvalidConfigurationValue,
    SystemConfigurationKey,
    UnknownConfigurationKey,
    UnknownConfigurationVersion,
)
from erp.operations.configuration_queries import (
    ADD_CHANGES,
    ENSURE_SCOPE,
    ENTRIES,
    LOCK_SCOPE,
    NEXT_REVISION,
    SET_ENTRIES,
    SET_SCOPE,
    VALUES_IN,
    EntryRow,
)
from erp.operations.configuration_schemas import (
    ChangeConfigurationInput,
    ChangedSettingView,
    ConfigurationChangeView,
    ImportConfigurationInput,
    RollbackInput,
)
from erp.operations.features_errors import ConfigurationKeyByAgreement
from fleet.configuration.keys import KEYS, InvalidValue, Key
from fleet.configuration.snapshot import FEATURE_PREFIX, SYSTEM, current
from tenancy.errors import VersionConflict
from tenancy.trail import Event
from tenancy.work import UnitOfWork

_NAMESPACE: Final = UUID("5b1f6f7c-5d0e-4a5a-9c58-2f0f5d0c6e11")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A key's new value as JSON (None: take it back); `pointer` says where the request names it."""

    key: str
    value: Any
    pointer: str
    expected_version: int | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """A scope as locked: its version and its entries by key."""

    version: int
    entries: Mapping[str, EntryRow]

    def value(self, key: str) -> Any:
        entry = self.entries.get(key)
        return None if entry is None else entry.value


async def change_configuration(work: UnitOfWork, data: ChangeConfigurationInput) -> ConfigurationChangeView:
    """Set and take back values. Raises UnknownConfigurationKey, SystemConfigurationKey,
    InvalidConfigurationValue, Invalid (a key named twice), VersionConflict.
    """
    wanted = [
        Wanted(
            one.key, one.value, f"/settings/{place}",
            None if one.expected_version is UNSET else one.expected_version,
        )
        for place, one in enumerate(data.settings)
    ]  # fmt: skip
    seen: set[str] = set()
    for one in wanted:
        if one.key in seen:
            raise Invalid(f"`{one.key}` is named twice.", pointer=f"{one.pointer}/key")
        seen.add(one.key)
    valid = [checked(work.tenant_id, one) for one in wanted]
    scope, _ = await _locked(work)
    return await _applied(work, scope, "changed", data.reason, valid)


async def roll_back(work: UnitOfWork, data: RollbackInput) -> ConfigurationChangeView:
    """Make the values of an earlier version hold again, as a new version.

    Raises UnknownConfigurationVersion, VersionConflict, and InvalidConfigurationValue when a value of then is none
    any more.
    """
    scope, [then] = await _locked(work, VALUES_IN(in_version=data.to_version))
    if data.to_version > scope.version:
        raise UnknownConfigurationVersion(
            f"The newest version is {scope.version}.", pointer="/to_version", newest=scope.version
        )
    values = {key: value for key, value in then if value is not None}
    wanted = _differing(work.tenant_id, scope, values, "/to_version")
    return await _applied(work, scope, "rolled_back", data.reason, wanted)


async def import_configuration(work: UnitOfWork, data: ImportConfigurationInput) -> ConfigurationChangeView:
    """Put exported values back: beside what there is, or in place of it. Raises as `change_configuration`."""
    wanted = [
        checked(work.tenant_id, Wanted(key, value, f"/values/{escape_pointer(key)}"))
        for key, value in data.values.items()
    ]
    scope, _ = await _locked(work)
    if data.mode == "replace":
        wanted = _differing(work.tenant_id, scope, {one.key: one.value for one in wanted}, "/values")
    return await _applied(work, scope, "imported", data.reason, wanted)


async def set_by_agreement(work: UnitOfWork, key: Key[bool], value: bool, reason: str) -> ConfigurationChangeView:
    """What the fleet has agreed on, as a change like any other, with history, event and audit entry."""
    scope, _ = await _locked(work)
    return await _applied(work, scope, "changed", reason, [Wanted(key.name, value or None, f"/{key.name}")])


def checked(scope: UUID, wanted: Wanted) -> Wanted:
    """The same with the value as the key's type writes it. Raises what `change_configuration` raises."""
    key = KEYS.get(wanted.key)
    if key is None:
        raise UnknownConfigurationKey(f"There is no key `{wanted.key[:128]}`.", pointer=_at(wanted, "key"))
    if scope != SYSTEM and not key.per_tenant:
        raise SystemConfigurationKey(pointer=_at(wanted, "key"), key=key.name)
    if key.by_agreement:
        raise ConfigurationKeyByAgreement(pointer=_at(wanted, "key"), key=key.name)
    if wanted.value is None:
        return wanted
    try:
        value = key.parse(wanted.value)
    except InvalidValue as error:
        raise InvalidConfigurationValue(
            error.detail, pointer=_at(wanted, "value"), key=key.name, reason=error.code
        ) from None
    return Wanted(wanted.key, key.encode(value), wanted.pointer, wanted.expected_version)


def by_agreement(name: str) -> bool:
    """Whether the fleet agrees on it, of this release's features and of others'."""
    return name.startswith(FEATURE_PREFIX)


def _at(wanted: Wanted, part: str) -> str:
    return f"{wanted.pointer}/{part}" if wanted.pointer.startswith("/settings/") else wanted.pointer


def _differing(tenant_id: UUID, scope: Scope, values: Mapping[str, Any], pointer: str) -> list[Wanted]:
    """What makes the scope hold exactly `values`. Keys of other releases can be taken back, not set."""
    names = {key for key, entry in scope.entries.items() if entry.value is not None} | values.keys()
    free = [key for key in sorted(names) if not by_agreement(key)]
    wanted = [Wanted(key, values.get(key), pointer) for key in free if scope.value(key) != values.get(key)]
    return [one if one.value is None else checked(tenant_id, one) for one in wanted]


async def _locked(work: UnitOfWork, *more: Bound[Any]) -> tuple[Scope, list[list[Any]]]:
    """The scope, locked until the commit, and the rows of further reads. Raises VersionConflict (If-Match)."""
    work.save(ENSURE_SCOPE())
    [(version,)], entries, *rows = await work.load(LOCK_SCOPE(), ENTRIES(), *more)
    work.check_version(version)
    return Scope(version, {entry.key: entry for entry in entries}), rows


async def _applied(
    work: UnitOfWork, scope: Scope, action: str, reason: str, wanted: Sequence[Wanted]
) -> ConfigurationChangeView:
    _compare(scope, wanted)
    changed = [
        ChangedSettingView(key=one.key, before=scope.value(one.key), after=one.value)
        for one in wanted
        if not _same(scope.value(one.key), one.value)
    ]
    if not changed:
        return ConfigurationChangeView(version=scope.version, revision=None, changed=[])
    # The last row locked: all scopes share it, so nothing is waited for behind it but the commit.
    [[(revision,)]] = await work.load(NEXT_REVISION())
    _save(work, action, reason, scope.version + 1, revision, changed)
    return ConfigurationChangeView(version=scope.version + 1, revision=revision, changed=changed)


def _compare(scope: Scope, wanted: Sequence[Wanted]) -> None:
    for one in wanted:
        entry = scope.entries.get(one.key)
        found = 0 if entry is None else entry.version
        if one.expected_version is not None and one.expected_version != found:
            raise VersionConflict(
                f"`{one.key}` was last changed in version {found}, not {one.expected_version}.",
                pointer=f"{one.pointer}/expected_version", current_version=found,
                expected_version=one.expected_version,
            )  # fmt: skip


def _same(before: Any, after: Any) -> bool:
    """1, 1.0 and true are equal to Python and different values of a key."""
    return type(before) is type(after) and before == after


def _save(
    work: UnitOfWork,
    action: str,
    reason: str,
    version: int,
    revision: int,
    changed: Sequence[ChangedSettingView],
) -> None:
    caller, keys = work.caller, [one.key for one in changed]
    befores, afters = [_json(one.before) for one in changed], [_json(one.after) for one in changed]
    work.save(
        SET_SCOPE(new_version=version),
        SET_ENTRIES(names=keys, new_values=afters, new_version=version),
        ADD_CHANGES(
            ids=[new_id() for _ in changed], names=keys, befores=befores, afters=afters, new_version=version,
            revision=revision, action=action, reason=reason, principal_id=caller.principal_id,
            principal_kind=caller.kind, principal_name=caller.name, correlation_id=caller.correlation_id,
        ),
    )  # fmt: skip
    scope_id = uuid5(_NAMESPACE, str(work.tenant_id))
    before = {one.key: one.before for one in changed}
    after = {one.key: one.after for one in changed}
    told = {"version": version, "values": after, "action": action, "reason": reason, "revision": revision}
    # Events are counted from 1, as of every aggregate; version 1 of a scope is what it was before the first of them.
    work.publish(Event("configuration", scope_id, version - 1, "configuration.changed", told))
    work.audit("configuration." + action, "configuration", scope_id, before=before, after={**after, "reason": reason})

    work.after_commit(current().announce)


def _json(value: Any) -> Jsonb | None:
    return None if value is None else Jsonb(value)
