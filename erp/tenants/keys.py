"""Commands of API keys: created, rotated, revoked. The secret leaves in the answer and is kept as a hash."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from db.identifiers import new_id
from erp.kernel.errors import Invalid, InvalidState, NotFound
from erp.tenants.errors import LastOwnerKey, PrivilegeEscalation
from erp.tenants.repository import ADD_KEY, LOCK_KEYS, SET_KEY, ApiKeyRow
from erp.tenants.schemas import ApiKeyView, CreateApiKeyInput, NewApiKeyView, RotateApiKeyInput
from erp.tenants.views import key_view, new_key_view
from tenancy.api_keys import NewKey
from tenancy.caller import Caller
from tenancy.permissions import ROLES, covers
from tenancy.trail import Event
from tenancy.work import UnitOfWork

#: Belongs to the operator's credential alone; no key of a tenant can be given it.
_PLATFORM = "platform:"


async def create_api_key(work: UnitOfWork, data: CreateApiKeyInput, minted: NewKey) -> NewApiKeyView:
    """Raises PrivilegeEscalation, Invalid for an expiry in the past."""
    if data.expires_at is not None and data.expires_at <= work.now:
        raise Invalid("The key would have expired already.", pointer="/expires_at")
    check_grant(work.caller, data.role, data.scopes)
    row = new_key(work, minted, name=data.name, role=data.role, scopes=data.scopes, expires_at=data.expires_at)
    save_key(work, row, minted)
    return new_key_view(row, work.now)


async def rotate_api_key(work: UnitOfWork, key_id: UUID, data: RotateApiKeyInput, minted: NewKey) -> NewApiKeyView:
    """A new key like the old one, which ends with the overlap. Raises NotFound, InvalidState, PrivilegeEscalation."""
    [rows] = await work.load(LOCK_KEYS(key_id=key_id))
    old = _active(rows, key_id, work.now)
    check_grant(work.caller, old.role, old.scopes)
    row = new_key(work, minted, name=old.name, role=old.role, scopes=old.scopes, expires_at=old.expires_at)
    save_key(work, row, minted)
    ends = work.now + timedelta(seconds=data.overlap_seconds)
    ends = ends if old.expires_at is None else min(ends, old.expires_at)
    after = old._replace(
        version=old.version + 1, expires_at=ends, state="active" if data.overlap_seconds else "revoked"
    )
    _change(work, old, after, "rotated")
    return new_key_view(row, work.now, old)


async def revoke_api_key(work: UnitOfWork, key_id: UUID) -> ApiKeyView:
    """End a key for good. Raises NotFound, InvalidState, LastOwnerKey."""
    [rows] = await work.load(LOCK_KEYS(key_id=key_id))
    before = _existing(rows, key_id)
    if before.state == "revoked":
        raise InvalidState("The key is revoked already.", state=before.state)
    lasting = [row for row in rows if row.role == "owner" and row.state == "active" and row.expires_at is None]
    if lasting == [before]:
        raise LastOwnerKey(key_id=str(key_id))
    after = before._replace(version=before.version + 1, state="revoked")
    _change(work, before, after, "revoked")
    return key_view(after)


def check_grant(caller: Caller, role: str, scopes: Sequence[str]) -> None:
    """Raises PrivilegeEscalation unless the caller holds everything the role and the scopes allow."""
    wanted = ROLES[role] | frozenset(scopes)
    for_platform = [scope for scope in scopes if scope.startswith(_PLATFORM)]
    if for_platform or not (caller.kind == "operator" or covers(caller.scopes, wanted)):
        missing = for_platform or sorted(scope for scope in wanted if not covers(caller.scopes, frozenset({scope})))
        raise PrivilegeEscalation(f"You do not hold {', '.join(missing)}.", pointer="/scopes", missing=missing)


def new_key(
    work: UnitOfWork, minted: NewKey, *, name: str, role: str, scopes: Sequence[str], expires_at: datetime | None
) -> ApiKeyRow:
    return ApiKeyRow(
        id=new_id(), version=1, prefix=minted.prefix, name=name, role=role, scopes=sorted(set(scopes)),
        state="active", expires_at=expires_at, last_used_at=None, created_by=work.caller.principal_id,
        created_at=work.now,
    )  # fmt: skip


def save_key(work: UnitOfWork, row: ApiKeyRow, minted: NewKey) -> None:
    """Queue the key with its event and audit entry."""
    work.save(
        ADD_KEY(
            id=row.id, prefix=row.prefix, secret_hash=minted.secret_hash, name=row.name, role=row.role,
            scopes=row.scopes, expires_at=row.expires_at, created_by=row.created_by, created_at=row.created_at,
        )
    )  # fmt: skip
    work.publish(Event("api_key", row.id, 1, "api_key.created", _facts(row)))
    work.audit("api_key.create", "api_key", row.id, after=_facts(row))


def _change(work: UnitOfWork, before: ApiKeyRow, after: ApiKeyRow, what: str) -> None:
    work.save(SET_KEY(key_id=after.id, state=after.state, expires_at=after.expires_at))
    work.publish(Event("api_key", after.id, after.version, f"api_key.{what}", _facts(after)))
    work.audit(f"api_key.{what}", "api_key", after.id, before=_facts(before), after=_facts(after))


def _existing(rows: Sequence[ApiKeyRow], key_id: UUID) -> ApiKeyRow:
    for row in rows:
        if row.id == key_id:
            return row
    raise NotFound(key_id=str(key_id))


def _active(rows: Sequence[ApiKeyRow], key_id: UUID, now: datetime) -> ApiKeyRow:
    row = _existing(rows, key_id)
    if row.state != "active" or (row.expires_at is not None and row.expires_at <= now):
        raise InvalidState("Only a key that still works is rotated.", state=row.state)
    return row


def _facts(row: ApiKeyRow) -> dict[str, Any]:
    return {
        "prefix": row.prefix,
        "name": row.name,
        "role": row.role,
        "scopes": row.scopes,
        "state": row.state,
        "expires_at": None if row.expires_at is None else row.expires_at.isoformat(),
    }
