"""Reading tenants and their keys."""

from sqlalchemy import bindparam, select

from db.statement import TENANT, Statement
from erp.http.filters import eq, in_, prefix, span
from erp.http.listing import Listing
from erp.tenants.repository import KEY_COLUMNS, TENANT_COLUMNS, ApiKeyRow, TenantRow
from tenancy.api_keys import api_keys, tenants
from tenancy.directory import placements

OWN_TENANT: Statement[TenantRow] = Statement(select(*TENANT_COLUMNS).where(tenants.c.tenant_id == TENANT), TenantRow)

_keys = select(*KEY_COLUMNS).where(api_keys.c.tenant_id == TENANT)
API_KEY: Statement[ApiKeyRow] = Statement(_keys.where(api_keys.c.id == bindparam("key_id")), ApiKeyRow)
API_KEYS: Listing[ApiKeyRow] = Listing(
    select=_keys,
    row=ApiKeyRow,
    key=api_keys.c.id,
    sorts={"created_at": api_keys.c.created_at},
    default="-created_at",
    filters={
        "state": eq(api_keys.c.state),
        "role": in_(api_keys.c.role),
        "created_at": span(api_keys.c.created_at),
        "last_used_at": span(api_keys.c.last_used_at),
    },
)

# Across tenants, where the map is: run by the platform role.
PLACEMENT_OF = Statement(select(placements.c.database).where(placements.c.tenant_id == bindparam("one")))

# Across tenants: run by the platform role, never by a unit of work.
ONE_OF_ALL_TENANTS: Statement[TenantRow] = Statement(
    select(*TENANT_COLUMNS).where(tenants.c.tenant_id == bindparam("one")), TenantRow
)
ALL_TENANTS: Listing[TenantRow] = Listing(
    select=select(*TENANT_COLUMNS),
    row=TenantRow,
    key=tenants.c.tenant_id,
    sorts={"created_at": tenants.c.created_at, "slug": tenants.c.slug},
    default="-created_at",
    filters={
        "slug": (eq(tenants.c.slug), prefix(tenants.c.slug)),
        "state": in_(tenants.c.state),
        "plan": in_(tenants.c.plan),
        "country": in_(tenants.c.country),
        "created_at": span(tenants.c.created_at),
    },
)
