"""The configuration as its readers see it: own values, what they inherit, what differs between versions."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from erp.operations.configuration_queries import FIRST_VERSION, EntryRow, HistoryRow
from erp.operations.configuration_schemas import (
    ChangedSettingView,
    ConfigurationDiffView,
    ConfigurationExportView,
    ConfigurationHistoryView,
    ConfigurationKeyView,
    ConfigurationView,
)
from fleet.configuration.keys import KEYS, Key
from fleet.configuration.snapshot import FEATURE_PREFIX, SYSTEM, Configuration, known_value
from tenancy.caller import TenantFacts

Source = Literal["tenant", "tenant_record", "system", "default"]


def scope_of(tenant: TenantFacts) -> Literal["system", "tenant"]:
    return "system" if tenant.id == SYSTEM else "tenant"


def settable_keys(tenant: TenantFacts) -> list[Key[Any]]:
    """In the order of their names; the operator's scope has all that can be set."""
    keys = (key for _, key in sorted(KEYS.items()) if not key.by_agreement)
    return [key for key in keys if key.per_tenant or tenant.id == SYSTEM]


def configuration_view(
    configuration: Configuration, tenant: TenantFacts, versions: Sequence[Any], entries: Iterable[EntryRow]
) -> ConfigurationView:
    own = {entry.key: entry for entry in entries}
    return ConfigurationView(
        scope=scope_of(tenant),
        version=versions[0][0] if versions else FIRST_VERSION,
        revision=configuration.revision(tenant.database),
        keys=[key_view(configuration, tenant, key, own.get(key.name)) for key in settable_keys(tenant)],
    )


def key_view(
    configuration: Configuration, tenant: TenantFacts, key: Key[Any], own: EntryRow | None
) -> ConfigurationKeyView:
    """`own` comes from the database, so that who has just set it sees it; what is inherited from memory."""
    value, source = _holding(configuration, tenant, key, own)
    return ConfigurationKeyView(
        key=key.name,
        version=0 if own is None else own.version,
        value=key.encode(value),
        source=source,
        default=key.encode(configuration.default(key)),
        type=key.kind_name,
        unit=key.unit,
        minimum=_bound(key, key.minimum),
        maximum=_bound(key, key.maximum),
        choices=[key.encode(choice) for choice in key.choices],
        per_tenant=key.per_tenant,
        description=key.describe,
    )


def _holding(
    configuration: Configuration, tenant: TenantFacts, key: Key[Any], own: EntryRow | None
) -> tuple[Any, Source]:
    if own is not None and (value := known_value(key.name, own.value)) is not None:
        return value, scope_of(tenant)
    if (value := known_value(key.name, tenant.settings.get(key.name))) is not None:
        return value, "tenant_record"
    if tenant.id != SYSTEM and (value := configuration.own(key.name, SYSTEM)) is not None:
        return value, "system"
    return configuration.default(key), "default"


def _bound(key: Key[Any], bound: Any) -> Any:
    return bound if bound is None or key.kind is str else key.encode(bound)


def export_view(tenant: TenantFacts, versions: Sequence[Any], entries: Iterable[EntryRow]) -> ConfigurationExportView:
    return ConfigurationExportView(
        scope=scope_of(tenant),
        version=versions[0][0] if versions else FIRST_VERSION,
        values={
            entry.key: entry.value
            for entry in entries
            if entry.value is not None and not entry.key.startswith(FEATURE_PREFIX)
        },
    )


def diff_view(
    from_version: int, to_version: int, before: Mapping[str, Any], after: Mapping[str, Any]
) -> ConfigurationDiffView:
    changed = [
        ChangedSettingView(key=key, before=before.get(key), after=after.get(key))
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]
    return ConfigurationDiffView(from_version=from_version, to_version=to_version, changed=changed)


def history_view(row: HistoryRow) -> ConfigurationHistoryView:
    return ConfigurationHistoryView(**row._asdict())
