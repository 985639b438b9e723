"""A shop that sells through sagas, in front of the sandbox provider."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from erp.fulfilment import provider as process_provider
from erp.fulfilment.payment_client import HttpPayments
from fleet.breaker import Breaker
from tenancy.caller import Caller, TenantFacts, system_caller
from tenancy.database import TenantDatabase
from tenancy.work import UnitOfWork
from tests.api.whole.conftest import Newcomer, Tenant, gate, newcomer, operator
from tests.api.whole.trading import stocked_product
from tests.fulfilment.provider import Provider
from tests.services import Services
from tests.slices.accounting.books import books_database, books_pool, books_reads
from tests.standbys import catch_up
from workers.sagas.definition import Saga, Sagas
from workers.sagas.fulfil_order import fulfil_order
from workers.sagas.runner import SagaRunner, Transact

__all__ = ["books_database", "books_pool", "books_reads", "gate", "newcomer", "operator"]

T = TypeVar("T")
#: What one order of the shop costs.
GROSS = Decimal("20.00")


class Died(BaseException):
    """What a kill -9 is inside one process: nothing after it happens."""


@dataclass
class Shopfront:
    tenant: Tenant
    caller: Caller
    database: TenantDatabase
    provider: Provider
    payments: HttpPayments
    product: str
    customer: str
    sagas: Sagas
    services: Services
    made: list[str] = field(default_factory=list)

    async def order(self, quantity: str = "2", **fields: Any) -> str:
        line = {"product_id": self.product, "quantity": quantity}
        made = await self.tenant.make("sales-orders", party_id=self.customer, lines=[line], **fields)
        return str(made["id"])

    async def begin(self, quantity: str = "2", **fields: Any) -> str:
        body = {"order_id": await self.order(quantity, **fields), "payment_source": "card_4242"}
        begun = await self.tenant.post("/v1/fulfilments", body, 202)
        return str(begun["id"])

    async def transact(self, command: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        return (await self.database.run(self.caller, command)).value

    async def run(
        self, saga: str, edge: Callable[[str], None] = lambda name: None, transact: Transact | None = None
    ) -> str:
        return await SagaRunner(transact or self.transact, self.sagas, edge).run(UUID(saga))

    @contextlib.asynccontextmanager
    async def holding(self, table: str, record: str) -> AsyncIterator[None]:
        """Somebody else's transaction has locked the record meanwhile."""
        async with await psycopg.AsyncConnection.connect(self.services.superuser_url) as held:
            query = sql.SQL("SELECT 1 FROM {} WHERE id = %s FOR UPDATE").format(sql.Identifier(table))
            await held.execute(query, [record])
            yield

    async def until_ended(self, saga: str, runs: int = 12) -> str:
        """Run it as often as it wants to go on, without its pauses."""
        for _ in range(runs):
            state = await self.run(saga)
            if state in ("completed", "compensated", "needs_operator"):
                return state
        raise AssertionError(f"still {state} after {runs} runs: {await self.view(saga)}")

    async def view(self, saga: str) -> Any:
        """As the tenant reads it, who has not made the last change itself: a standby must have replayed it."""
        await asyncio.to_thread(catch_up, self.services)
        return await self.tenant.get(f"/v1/fulfilments/{saga}")

    async def states(self, saga: str) -> dict[str, str]:
        return {step["name"]: step["state"] for step in (await self.view(saga))["steps"]}

    def asked(self, saga: str) -> list[tuple[str, bool, int]]:
        """(operation, accepted, how often) of the payment at the provider."""
        found = self.provider.operations(self.tenant.id, f"saga:{saga}")
        return [(one["operation"], bool(one["accepted"]), one["asked"]) for one in found]

    def kept(self, saga: str) -> Decimal:
        """What the provider took and has not given back."""
        found = self.provider.operations(self.tenant.id, f"saga:{saga}")
        signs = {"capture": 1, "refund": -1}
        amounts = [Decimal(one["amount"]) * signs.get(one["operation"], 0) for one in found if one["accepted"]]
        return sum(amounts, Decimal(0))

    async def agrees(self) -> None:
        """All three books of the money say the same, and the tenant's own proof holds."""
        page = await self.tenant.get("/v1/payment-reconciliation", limit="200")
        assert page["agrees"] is True, page
        proof = await self.tenant.get("/v1/proof")
        assert proof["holds"] is True, proof

    async def documents(self, saga: str) -> dict[str, int]:
        """How many of each the order of the saga has."""
        order = (await self.view(saga))["order_id"]
        found = {}
        for kind in ("deliveries", "returns", "invoices"):
            found[kind] = len((await self.tenant.get(f"/v1/{kind}", order_id=order))["data"])
        return found


def never_waits(saga: Saga) -> Saga:
    """The same with pauses of nothing: the tests decide when it is looked at again."""
    return replace(
        saga, forward=lambda: replace(saga.forward(), first=0.0), back=lambda: replace(saga.back(), first=0.0)
    )


def timeouts(step: str) -> float:
    """The provider's calls are given up soon; ours take what they take."""
    return 0.4 if step in ("authorise", "capture") else 60.0


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    found = Provider(tmp_path_factory.mktemp("provider"))
    yield found
    found.end()


@pytest.fixture
async def shopfront(
    newcomer: Newcomer, books_database: TenantDatabase, provider: Provider, services: Services
) -> AsyncIterator[Shopfront]:
    provider.behave()
    tenant = await newcomer()
    product = await stocked_product(tenant, "LAMP", "1000")
    customer = await tenant.make("parties", code="C", name="Customer", is_customer=True)
    payments = HttpPayments(provider.url, timeout=0.4, breaker=Breaker("payments", failures=10_000))
    facts = TenantFacts(UUID(tenant.id), tenant.slug, "Test", "active", "GBP", "GB", "Europe/London")
    caller = system_caller(facts, name="job:saga", correlation_id=f"test-{uuid.uuid4().hex[:12]}")
    saga = never_waits(fulfil_order(lambda: payments, timeouts))
    process_provider.use(payments)
    yield Shopfront(
        tenant, caller, books_database, provider, payments, product["id"], customer["id"], {saga.kind: saga},
        services,
    )  # fmt: skip
    await payments.close()
