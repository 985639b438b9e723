"""Where tenants are: the placement map, complete on the first database, and what each database knows of its own."""

from sqlalchemy import Column, DateTime, Table, Text, Uuid, bindparam, insert, select

from db.metadata import metadata
from db.statement import TENANT, Statement
from tenancy.api_keys import tenants

placements = Table(
    "placements", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("slug", Text),
    Column("database", Text),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip

#: The tenant's database; no row: the first one. Asked on the first one.
PLACEMENT = Statement(select(placements.c.database).where(placements.c.tenant_id == TENANT))
ADD_PLACEMENT: Statement[tuple[()]] = Statement(
    insert(placements).values(
        tenant_id=TENANT, slug=bindparam("slug"), database=bindparam("database"), created_at=bindparam("created_at")
    )
)
#: In the order of `TenantFacts`.
OWN_FACTS = Statement(
    select(
        tenants.c.tenant_id, tenants.c.slug, tenants.c.name, tenants.c.state, tenants.c.base_currency,
        tenants.c.country, tenants.c.time_zone, tenants.c.settings, tenants.c.database,
    ).where(tenants.c.tenant_id == TENANT)
)  # fmt: skip
