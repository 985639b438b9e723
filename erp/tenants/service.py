"""Changing a tenant: by its owner (name, time zone, settings) and by the operator (suspend, resume, close)."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET
from psycopg.types.json import Jsonb

from erp.kernel.errors import InvalidState, NotFound
from erp.tenants.keys import new_key, save_key
from erp.tenants.provisioning import check_time_zone
from erp.tenants.repository import LOCK_TENANT, SET_TENANT, TenantRow
from erp.tenants.schemas import ChangeStateInput, NewApiKeyView, TenantView, UpdateTenantInput
from erp.tenants.views import new_key_view, tenant_view
from tenancy.api_keys import NewKey
from tenancy.trail import Event
from tenancy.work import UnitOfWork

#: What the operator does -> (from which states, to which state).
TRANSITIONS: Final[Mapping[str, tuple[frozenset[str], str]]] = {
    "suspended": (frozenset({"active"}), "suspended"),
    "resumed": (frozenset({"suspended"}), "active"),
    "closed": (frozenset({"active", "suspended"}), "closed"),
}


async def update_tenant(work: UnitOfWork, data: UpdateTenantInput) -> TenantView:
    """Change what was sent. Raises VersionConflict, Invalid for a time zone there is not."""
    before = await _locked(work)
    work.check_version(before.version)
    if data.time_zone is not UNSET:
        check_time_zone(data.time_zone)
    settings = dict(before.settings)
    if data.settings is not UNSET:
        for name, value in msgspec.to_builtins(data.settings).items():
            settings[name] = value
    after = before._replace(
        name=before.name if data.name is UNSET else data.name,
        time_zone=before.time_zone if data.time_zone is UNSET else data.time_zone,
        settings={name: value for name, value in settings.items() if value is not None},
    )
    if after == before:
        return tenant_view(before)
    return _saved(work, before, after._replace(version=before.version + 1), "updated", {})


async def suspend_tenant(work: UnitOfWork, data: ChangeStateInput) -> TenantView:
    """Refuse the tenant's callers until it is resumed. Raises NotFound, InvalidState."""
    return await _move(work, "suspended", data.reason)


async def resume_tenant(work: UnitOfWork, data: ChangeStateInput) -> TenantView:
    """Let a suspended tenant's callers in again. Raises NotFound, InvalidState."""
    return await _move(work, "resumed", data.reason)


async def close_tenant(work: UnitOfWork, data: ChangeStateInput) -> TenantView:
    """Refuse the tenant's callers for good; its data is kept. Raises NotFound, InvalidState."""
    return await _move(work, "closed", data.reason)


async def issue_owner_key(work: UnitOfWork, minted: NewKey) -> NewApiKeyView:
    """Another owner key, for a tenant whose owner lost theirs. Raises NotFound."""
    await _locked(work)
    row = new_key(work, minted, name="Issued by the operator", role="owner", scopes=(), expires_at=None)
    save_key(work, row, minted)
    return new_key_view(row, work.now)


async def _move(work: UnitOfWork, what: str, reason: str) -> TenantView:
    before = await _locked(work)
    work.check_version(before.version)
    sources, state = TRANSITIONS[what]
    if before.state not in sources:
        raise InvalidState(f"The tenant is {before.state}.", state=before.state, allowed=sorted(sources))
    after = before._replace(state=state, version=before.version + 1)
    return _saved(work, before, after, what, {"reason": reason})


async def _locked(work: UnitOfWork) -> TenantRow:
    [found] = await work.load(LOCK_TENANT())
    if not found:
        raise NotFound(tenant_id=str(work.tenant_id))
    row: TenantRow = found[0]
    return row


def _saved(work: UnitOfWork, before: TenantRow, after: TenantRow, what: str, facts: Mapping[str, Any]) -> TenantView:
    work.save(
        SET_TENANT(name=after.name, time_zone=after.time_zone, state=after.state, settings=Jsonb(after.settings))
    )
    told = {**_changing(after), **facts}
    work.publish(Event("tenant", after.id, after.version, f"tenant.{what}", told))
    work.audit(f"tenant.{what}", "tenant", after.id, before=_changing(before), after=told)
    return tenant_view(after)


def _changing(row: TenantRow) -> dict[str, Any]:
    return {"name": row.name, "time_zone": row.time_zone, "state": row.state, "settings": row.settings}
