"""Write-side statements of tenants and their keys."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, cast, insert, select, update
from sqlalchemy.dialects.postgresql import JSONB

from db.statement import TENANT, Statement
from tenancy.api_keys import api_keys, tenants


class TenantRow(NamedTuple):
    id: UUID
    version: int
    slug: str
    name: str
    plan: str
    state: str
    base_currency: str
    country: str
    time_zone: str
    settings: dict[str, Any]
    database: str
    created_at: datetime


class ApiKeyRow(NamedTuple):
    id: UUID
    version: int
    prefix: str
    name: str
    role: str
    scopes: list[str]
    state: str
    expires_at: datetime | None
    last_used_at: datetime | None
    created_by: UUID | None
    created_at: datetime


TENANT_COLUMNS = (
    tenants.c.tenant_id, *(tenants.c[name] for name in TenantRow._fields if name != "id")
)  # fmt: skip
KEY_COLUMNS = tuple(api_keys.c[name] for name in ApiKeyRow._fields)

#: The key itself never changes: everything the tenant writes refers to it and need not wait.
LOCK_TENANT: Statement[TenantRow] = Statement(
    select(*TENANT_COLUMNS).where(tenants.c.tenant_id == TENANT).with_for_update(key_share=True), TenantRow
)
ADD_TENANT: Statement[tuple[()]] = Statement(
    insert(tenants).values(
        tenant_id=TENANT, slug=bindparam("slug"), name=bindparam("name"), plan=bindparam("plan"),
        base_currency=bindparam("base_currency"), country=bindparam("country"), time_zone=bindparam("time_zone"),
        settings=cast(bindparam("settings"), JSONB), database=bindparam("database"),
        created_at=bindparam("created_at"),
    )
)  # fmt: skip
SET_TENANT: Statement[tuple[()]] = Statement(
    update(tenants)
    .where(tenants.c.tenant_id == TENANT)
    .values(
        name=bindparam("name"), time_zone=bindparam("time_zone"), state=bindparam("state"),
        settings=cast(bindparam("settings"), JSONB), version=tenants.c.version + 1,
    )
)  # fmt: skip

#: The key, and every active owner key with it: two owners who revoke each other's key at the same moment must
#: not both succeed. In the order of their ids.
LOCK_KEYS: Statement[ApiKeyRow] = Statement(
    select(*KEY_COLUMNS)
    .where(
        api_keys.c.tenant_id == TENANT,
        (api_keys.c.id == bindparam("key_id")) | ((api_keys.c.role == "owner") & (api_keys.c.state == "active")),
    )
    .order_by(api_keys.c.id)
    .with_for_update(),
    ApiKeyRow,
)
ADD_KEY: Statement[tuple[()]] = Statement(
    insert(api_keys).values(
        tenant_id=TENANT, id=bindparam("id"), prefix=bindparam("prefix"), secret_hash=bindparam("secret_hash"),
        name=bindparam("name"), role=bindparam("role"), scopes=bindparam("scopes"),
        expires_at=bindparam("expires_at"), created_by=bindparam("created_by"), created_at=bindparam("created_at"),
    )
)  # fmt: skip
SET_KEY: Statement[tuple[()]] = Statement(
    update(api_keys)
    .where(api_keys.c.tenant_id == TENANT, api_keys.c.id == bindparam("key_id"))
    .values(state=bindparam("state"), expires_at=bindparam("expires_at"), version=api_keys.c.version + 1)
)
