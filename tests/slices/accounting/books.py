"""A tenant with books, on the real servers: what the tests of the money slices start from."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb

from db.counting import RoundTrips, round_trips
from db.identifiers import new_id
from db.pool import Pool
from db.redis import connect
from db.replicas import Replica, ReplicaSet
from db.statement import Bound
from erp.accounting.proof_check import Check, Evidence
from erp.accounting.queries import TRIAL_BALANCE
from erp.accounting.repository import PeriodState
from erp.accounting.seed import seed
from erp.parties.repository import ADD_PARTY
from tenancy.caller import Caller, TenantFacts
from tenancy.database import TenantDatabase
from tenancy.locks import LockService, NoLocks
from tenancy.reads import TenantReads
from tenancy.work import UnitOfWork
from tests.services import Services

T = TypeVar("T")
_PERIOD_OF = (
    f"SELECT {', '.join(PeriodState._fields)} FROM periods WHERE tenant_id = %(tenant_id)s"
    " AND %(day)s::date BETWEEN start_date AND end_date"
)

__all__ = [
    "Books",
    "books",
    "books_database",
    "books_pool",
    "books_reads",
    "clerk",
    "new_books",
    "unguarded_database",
]


@dataclass
class Books:
    """One tenant: chart `generic-ifrs` in GBP, open periods of 2026, a customer with 30 days, a supplier."""

    database: TenantDatabase
    caller: Caller
    superuser_url: str
    customer: UUID = field(default_factory=new_id)
    other_customer: UUID = field(default_factory=new_id)
    supplier: UUID = field(default_factory=new_id)

    async def run(self, command: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """One command in one transaction."""
        return (await self.database.run(self.caller, lambda work: command(work, *arguments))).value

    async def counted(self, command: Callable[..., Awaitable[T]], *arguments: Any) -> tuple[T, RoundTrips]:
        """The same, with the round trips it took."""
        token = round_trips.set(RoundTrips())
        try:
            value = await self.run(command, *arguments)
            counted = round_trips.get()
            assert counted is not None
            return value, counted
        finally:
            round_trips.reset(token)

    async def rows(self, statement: Bound[Any]) -> list[Any]:
        """Rows as the primary has them."""

        async def load(work: UnitOfWork) -> list[Any]:
            [rows] = await work.load(statement)
            return rows

        return await self.run(load)

    async def balances(self, as_of: date = date(2026, 12, 31)) -> dict[str, Decimal]:
        """Account code -> balance; accounts that never moved are left out."""
        return {row.code: row.debit - row.credit for row in await self.rows(TRIAL_BALANCE(as_of=as_of))}

    async def evidence(self, *checks: Check) -> dict[str, list[Evidence]]:
        """What the checks find wrong, by their names."""
        found = {check.name: await self.rows(check.statement()) for check in checks}
        return {name: rows for name, rows in found.items() if rows}

    async def until_blocked(self, sessions: int = 1) -> None:
        """Returns when that many sessions wait for a row somebody holds."""
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = 'erp'"
        async with await psycopg.AsyncConnection.connect(self.superuser_url, autocommit=True) as connection:
            async with asyncio.timeout(10):
                while True:
                    cursor = await connection.execute(waiting)
                    row = await cursor.fetchone()
                    if row is not None and row[0] >= sessions:
                        return
                    await asyncio.sleep(0.005)

    async def period(self, day: date) -> PeriodState:
        """The period of the day, whatever its state."""
        found: PeriodState
        [found] = await self.rows(Bound(_PERIOD_OF, {"day": day}, PeriodState, True))
        return found

    def tamper(self, sql: str, *parameters: Any) -> None:
        """Change rows behind the application's back: no triggers, no fences, no constraints deferred."""
        with psycopg.connect(self.superuser_url, autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute(sql, parameters)

    def with_settings(self, settings: dict[str, Any]) -> "Books":
        tenant = replace(self.caller.tenant, settings=settings)
        return replace(self, caller=replace(self.caller, tenant=tenant))


@pytest.fixture(scope="session")
async def books_pool(services: Services) -> AsyncIterator[Pool]:
    pool = Pool(services.app_url, name="books", size=20, prepared=services.prepared_statements, wait=10)
    await pool.open()
    yield pool
    await pool.close()


@pytest.fixture(scope="session")
async def books_reads(services: Services, books_pool: Pool) -> AsyncIterator[TenantReads]:
    readers = [Pool(url, name=f"reader{n}", size=4) for n, url in enumerate(services.replica_urls, 1)]
    for one in readers:
        await one.open()
    replicas = ReplicaSet([Replica(one.name, one) for one in readers], books_pool)
    await replicas.start()
    yield TenantReads(books_pool, replicas)
    await replicas.stop()
    for one in readers:
        await one.close()


@pytest.fixture(scope="session")
async def books_database(
    services: Services, books_pool: Pool, books_reads: TenantReads
) -> AsyncIterator[TenantDatabase]:
    locks = LockService(connect(services.redis_locks_url, timeout=0.5))
    yield TenantDatabase(books_pool, locks=locks, reads=books_reads)
    await locks.close()


@pytest.fixture
def unguarded_database(books_pool: Pool, books_reads: TenantReads) -> TenantDatabase:
    """The same database without locks in Redis: PostgreSQL alone decides."""
    return TenantDatabase(books_pool, locks=NoLocks(), reads=books_reads)


def clerk(name: str = "Bookkeeper") -> Caller:
    """The owner of a tenant that does not exist yet."""
    tenant_id = uuid.uuid4()
    tenant = TenantFacts(tenant_id, f"t-{tenant_id.hex[:12]}", "Books Ltd", "active", "GBP", "GB", "Europe/London")
    return Caller(tenant, new_id(), "api_key", name, "owner", frozenset({"*:*"}), "127.0.0.1", "books-test")


async def new_books(database: TenantDatabase, services: Services) -> Books:
    books = Books(database, clerk(), services.superuser_url)
    tenant = books.caller.tenant
    insert: Bound[Any] = Bound(
        "INSERT INTO tenants (tenant_id, slug, name, base_currency, country, time_zone)"
        " VALUES (%(tenant_id)s, %(slug)s, %(name)s, 'GBP', 'GB', 'Europe/London')",
        {"slug": tenant.slug, "name": tenant.name}, None, True,
    )  # fmt: skip

    async def provision(work: UnitOfWork) -> None:
        work.save(insert)
        seed(work, "generic-ifrs", date(2026, 1, 1), 12)
        for party, code, sells in (
            (books.customer, "C1", False), (books.other_customer, "C2", False), (books.supplier, "S1", True),
        ):  # fmt: skip
            work.save(
                ADD_PARTY(
                    id=party, code=code, name=f"Party {code}", is_customer=not sells, is_supplier=sells, email=None,
                    phone=None, tax_id=None, country="GB", payment_terms_days=30, credit_limit=None,
                    price_list_id=None, addresses=Jsonb([]), contacts=Jsonb([]), active=True, external_id=None,
                    created_at=work.now,
                )
            )  # fmt: skip

    await books.run(provision)
    return books


@pytest.fixture
async def books(books_database: TenantDatabase, services: Services) -> Books:
    """A fresh tenant for every test."""
    return await new_books(books_database, services)
