"""A new tenant: its row, its books, units, tax groups, parties, warehouse and first key, in one transaction.

Row inserts only, all of them in one round trip: no schema, no database, nothing to wait for.
"""

from dataclasses import replace
from datetime import date
from functools import cache
from typing import Any
from uuid import UUID
from zoneinfo import available_timezones

import msgspec
from psycopg.types.json import Jsonb

from db.two_phase import MAIN
from erp.accounting import seed as accounting
from erp.catalog import seed as catalog
from erp.inventory import seed as inventory
from erp.kernel.errors import Invalid
from erp.kernel.money import CURRENCIES
from erp.parties import seed as parties
from erp.pricing import seed as pricing
from erp.tenants.keys import new_key, save_key
from erp.tenants.repository import ADD_TENANT, TenantRow
from erp.tenants.schemas import CreateTenantInput, NewTenantView
from erp.tenants.views import new_key_view, tenant_view
from tenancy.api_keys import NewKey
from tenancy.caller import TenantFacts
from tenancy.directory import ADD_PLACEMENT
from tenancy.distributed import join
from tenancy.trail import Event
from tenancy.work import UnitOfWork


def facts_of(tenant_id: UUID, data: CreateTenantInput) -> TenantFacts:
    """The tenant its first unit of work runs for. Raises Invalid for a currency or time zone there is not."""
    if data.base_currency not in CURRENCIES:
        raise Invalid(f"`{data.base_currency}` is not an ISO 4217 currency.", pointer="/base_currency")
    check_time_zone(data.time_zone)
    return TenantFacts(
        id=tenant_id, slug=data.slug, name=data.name, state="active", base_currency=data.base_currency,
        country=data.country, time_zone=data.time_zone, settings=msgspec.to_builtins(data.settings),
        database=data.database,
    )  # fmt: skip


def check_time_zone(name: str) -> None:
    """Raises Invalid."""
    if name not in _time_zones():
        raise Invalid(f"`{name}` is not an IANA time zone.", pointer="/time_zone")


async def create_tenant(work: UnitOfWork, data: CreateTenantInput, minted: NewKey) -> NewTenantView:
    """`work` belongs to the tenant to be. Raises Duplicate for a taken slug, Invalid for a chart there is not."""
    row = TenantRow(
        id=work.tenant_id, version=1, slug=data.slug, name=data.name, plan=data.plan, state="active",
        base_currency=data.base_currency, country=data.country, time_zone=data.time_zone,
        settings=dict(work.tenant.settings), database=data.database, created_at=work.now,
    )  # fmt: skip
    work.save(
        ADD_TENANT(
            slug=row.slug, name=row.name, plan=row.plan, base_currency=row.base_currency, country=row.country,
            time_zone=row.time_zone, settings=Jsonb(row.settings), database=row.database, created_at=row.created_at,
        )
    )  # fmt: skip
    await place(work, row)
    seed(work, data)
    owner = new_key(work, minted, name="First owner", role="owner", scopes=(), expires_at=None)
    save_key(work, owner, minted)
    work.publish(Event("tenant", row.id, 1, "tenant.created", _facts(row)))
    work.audit("tenant.create", "tenant", row.id, after=_facts(row))
    return NewTenantView(id=row.id, version=1, tenant=tenant_view(row), owner_key=new_key_view(owner, work.now))


async def place(work: UnitOfWork, row: TenantRow) -> None:
    """Queue the tenant's place in the map, which is on the first database; both commit, or neither does."""
    mapped = ADD_PLACEMENT(slug=row.slug, database=row.database, created_at=row.created_at)
    if row.database == MAIN:
        work.save(mapped)
        return
    there = replace(work.caller, tenant=replace(work.tenant, database=MAIN))
    (await join(work, there)).save(mapped)


def seed(work: UnitOfWork, data: CreateTenantInput) -> None:
    """Queue what every slice gives a new tenant. Raises Invalid."""
    first, last = fiscal_years(data.first_fiscal_year, work.today.year)
    accounting.seed(work, data.chart, date(first, 1, 1), 12 * (last - first + 1))
    catalog.seed(work)
    pricing.seed(work)
    parties.seed(work)
    inventory.seed(work)


def fiscal_years(first: int | None, this_year: int) -> tuple[int, int]:
    """The first and last year with open periods. Raises Invalid for a first year that lies ahead. Pure."""
    last = this_year + 1
    if first is None:
        return this_year - 1, last
    if first > last:
        raise Invalid(f"The first fiscal year is {last} at the latest.", pointer="/first_fiscal_year")
    return first, last


def _facts(row: TenantRow) -> dict[str, Any]:
    return {
        "slug": row.slug,
        "name": row.name,
        "plan": row.plan,
        "base_currency": row.base_currency,
        "country": row.country,
        "time_zone": row.time_zone,
    }


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())
