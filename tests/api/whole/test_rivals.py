"""Rivals for the same stock, money and key, with Redis up, flushed all the time and stopped.

PostgreSQL alone decides: the three runs differ in speed at most.
"""

import asyncio
import contextlib
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from redis.exceptions import RedisError

from db.redis import connect
from tests.api.whole.conftest import Tenant
from tests.api.whole.trading import stocked_product
from tests.services import Services


async def _flush_on_and_on(services: Services, over: asyncio.Event) -> None:
    """Ends by a flag: a cancellation that meets the client's own timeout may be swallowed."""
    client = connect(services.redis_locks_url, timeout=1.0)
    while not over.is_set():
        await client.flushall()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await over.wait()
    await client.aclose()


async def _answering(services: Services) -> None:
    client = connect(services.redis_locks_url, timeout=1.0)
    deadline = time.monotonic() + 10
    while True:
        try:
            await client.ping()
            break
        except RedisError:
            assert time.monotonic() < deadline, "Redis did not come back"
            await asyncio.sleep(0.05)
    await client.aclose()


@pytest.fixture(params=["up", "flushed", "stopped"])
async def redis(request: pytest.FixtureRequest, services: Services) -> AsyncIterator[str]:
    """The state Redis is in while the rivals race."""
    over = asyncio.Event()
    flushing = asyncio.create_task(_flush_on_and_on(services, over)) if request.param == "flushed" else None
    if request.param == "stopped":
        services.processes["redis-core"].stop()
    yield request.param
    over.set()
    if flushing is not None:
        await flushing
    if request.param == "stopped":
        await asyncio.to_thread(services.processes.restart, "redis-core")
        await _answering(services)


def post(tenant: Tenant, path: str, body: Any, key: str | None = None) -> Any:
    return tenant.client.post(path, json=body, headers={"Idempotency-Key": key or uuid.uuid4().hex})


async def patiently(tenant: Tenant, path: str, body: Any) -> httpx.Response:
    """As a client that repeats what is worth repeating, with the same key."""
    key = uuid.uuid4().hex
    for _ in range(30):
        reply: httpx.Response = await post(tenant, path, body, key)
        if reply.is_success or not reply.json().get("retryable"):
            return reply
        await asyncio.sleep(0.05)
    return reply


async def proven(tenant: Tenant) -> None:
    report = await tenant.get("/v1/proof")
    assert report["holds"], [check for check in report["checks"] if not check["holds"]]


async def test_fifty_clients_on_the_last_twenty_units_sell_exactly_twenty(tenant: Tenant, redis: str) -> None:
    product = await stocked_product(tenant, "LAST", "20")
    customer = await tenant.make("parties", code="C", name="Customer", is_customer=True)
    body = {
        "party_id": customer["id"], "confirm": True, "lines": [{"product_id": product["id"], "quantity": "1"}],
    }  # fmt: skip
    replies = await asyncio.gather(*(patiently(tenant, "/v1/sales-orders", body) for _ in range(50)))
    codes = Counter(reply.status_code if reply.is_success else reply.json()["code"] for reply in replies)
    assert codes == {201: 20, "insufficient-stock": 30}
    level = (await tenant.get("/v1/stock-levels", product_id=product["id"]))["data"][0]
    assert (level["on_hand"], level["reserved"], level["available"]) == ("20", "20", "0")
    await proven(tenant)


async def test_fifty_equal_posts_make_one_order(tenant: Tenant, redis: str) -> None:
    product = await stocked_product(tenant, "ONE", "20")
    customer = await tenant.make("parties", code="C", name="Customer", is_customer=True)
    body = {
        "party_id": customer["id"], "confirm": True, "lines": [{"product_id": product["id"], "quantity": "1"}],
    }  # fmt: skip
    key = uuid.uuid4().hex
    replies = await asyncio.gather(*(post(tenant, "/v1/sales-orders", body, key) for _ in range(50)))
    made = [reply for reply in replies if reply.status_code == 201]
    others = {reply.json()["code"] for reply in replies if reply.status_code != 201}
    assert len({reply.content for reply in made}) == 1
    assert sum("idempotency-replayed" not in reply.headers for reply in made) == 1
    assert others <= {"idempotency-in-flight", "lock-timeout", "overloaded", "rate-limited"}
    orders = await tenant.get("/v1/sales-orders")
    assert len(orders["data"]) == 1
    await proven(tenant)


async def test_two_tabs_over_allocating_a_payment_leave_one_winner(tenant: Tenant, redis: str) -> None:
    customer = await tenant.make("parties", code="C", name="Customer", is_customer=True)
    product = await tenant.make("products", code="S", name="Service", kind="service", sale_price="100")
    invoices = []
    for _ in range(2):
        made = await tenant.make(
            "invoices", party_id=customer["id"], lines=[{"product_id": product["id"], "quantity": "1"}]
        )
        invoices.append(await tenant.post(f"/v1/invoices/{made['id']}/post", {}))
    payment = await tenant.make("payments", direction="in", party_id=customer["id"], amount="100.00")

    async def allocate(invoice: Any) -> httpx.Response:
        body = {"allocations": [{"invoice_id": invoice["id"], "amount": "100.00"}]}
        return await patiently(tenant, f"/v1/payments/{payment['id']}/allocations", body)

    replies = await asyncio.gather(*(allocate(invoice) for invoice in invoices))
    outcomes = sorted("won" if reply.is_success else reply.json()["code"] for reply in replies)
    assert outcomes == ["over-allocation", "won"]
    await proven(tenant)


async def test_a_period_closes_between_postings_never_during_one(tenant: Tenant, redis: str) -> None:
    periods = (await tenant.get("/v1/periods", limit="200"))["data"]
    period = min(periods, key=lambda one: str(one["start_date"]))

    async def enter(number: int) -> httpx.Response:
        body = {
            "date": period["start_date"], "strict_date": True, "text": str(number),
            "lines": [{"account": "@expense", "debit": "1.00"}, {"account": "@bank", "credit": "1.00"}],
        }  # fmt: skip
        return await patiently(tenant, "/v1/journal-entries", body)

    async def close() -> httpx.Response:
        return await patiently(
            tenant, f"/v1/periods/{period['id']}/close", {"reason": "month end", "state": "closed"}
        )

    before = [enter(number) for number in range(15)]
    after = [enter(number) for number in range(15, 30)]
    replies = await asyncio.gather(*before, close(), *after)
    closed = replies.pop(15)
    assert closed.is_success, closed.text
    posted = [reply for reply in replies if reply.is_success]
    refused = [reply for reply in replies if not reply.is_success]
    assert {reply.json()["code"] for reply in refused} <= {"period-closed"}
    in_period = await tenant.get("/v1/trial-balance", as_of=period["end_date"])
    assert in_period["debit"] == f"{len(posted)}.00"
    late = await enter(99)
    assert late.json()["code"] == "period-closed"
    await proven(tenant)
