"""The whole application in this process, on the real servers, with tenants made through its own API."""

import asyncio
import contextlib
import itertools
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from erp.app import build_app
from erp.http.gate import Gate
from erp.settings import load_settings
from tests.services import Services

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant and a client with its owner's key."""

    id: str
    slug: str
    key: str
    client: httpx.AsyncClient

    async def get(self, path: str, expect: int = 200, **parameters: str) -> Any:
        return _answer(await self.client.get(path, params=parameters), expect)

    async def post(self, path: str, body: Any = None, expect: int | None = None, key: str | None = None) -> Any:
        """Any 2xx unless `expect` names a status; a fresh Idempotency-Key unless given."""
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        return _answer(await self.client.post(path, json={} if body is None else body, headers=headers), expect)

    async def make(self, resource: str, **fields: Any) -> Any:
        return await self.post(f"/v1/{resource}", fields, 201)


def _answer(reply: httpx.Response, expect: int | None) -> Any:
    right = reply.is_success if expect is None else reply.status_code == expect
    assert right, f"{reply.request.method} {reply.request.url.path}: {reply.status_code} {reply.text}"
    return reply.json() if reply.content else None


def settings_environment(services: Services, instance: str) -> dict[str, str]:
    """Limits far above what tests need, except where a test asks for its own."""
    raised = {
        "ERP_KEY_PER_MINUTE": "1000000", "ERP_TENANT_PER_MINUTE": "1000000", "ERP_ADDRESS_PER_MINUTE": "1000000",
        "ERP_STRANGER_PER_MINUTE": "1000000", "ERP_USER_PER_MINUTE": "1000000",
        "ERP_INSTANCE_HEARTBEAT": "0.5", "ERP_INSTANCE_DEAD_AFTER": "4",
    }  # fmt: skip
    return {**services.environment(instance, "api"), **raised}


@pytest.fixture(scope="session")
async def gate(services: Services) -> AsyncIterator[Gate]:
    gate = build_app(load_settings(settings_environment(services, "test-1")))
    async with running(gate):
        yield gate


@contextlib.asynccontextmanager
async def running(gate: Gate) -> AsyncIterator[None]:
    """The application started; its lifespan begins and ends in one task, as a server has it."""
    started, ended = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        async with gate.lifespan():
            started.set()
            await ended.wait()

    life = asyncio.create_task(live())
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait({life, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if life.done():
        life.result()
    try:
        yield
    finally:
        ended.set()
        await life


def client_of(gate: Gate, key: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=gate),  # type: ignore[arg-type]  # two spellings of one protocol
        base_url="https://localhost",
        headers={"Authorization": f"Bearer {key}"},
        timeout=30,
    )


@pytest.fixture(scope="session")
async def operator(gate: Gate, services: Services) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(gate, services.operator_key) as client:
        yield client


async def new_tenant(gate: Gate, operator: httpx.AsyncClient, **fields: Any) -> Tenant:
    """A fresh tenant; whoever asks for it closes its client."""
    body = {
        "slug": f"t{os.getpid()}-{next(_numbers)}", "name": "Test tenant", "base_currency": "GBP",
        "country": "GB", "time_zone": "Europe/London", **fields,
    }  # fmt: skip
    created = _answer(await operator.post("/v1/tenants", json=body), 201)
    key = created["owner_key"]["secret"]
    return Tenant(created["id"], body["slug"], key, client_of(gate, key))


Newcomer = Callable[..., Awaitable[Tenant]]


@pytest.fixture
async def newcomer(gate: Gate, operator: httpx.AsyncClient) -> AsyncIterator[Newcomer]:
    """Makes tenants; their clients are closed with the test."""
    clients: list[httpx.AsyncClient] = []

    async def make(**fields: Any) -> Tenant:
        made = await new_tenant(gate, operator, **fields)
        clients.append(made.client)
        return made

    yield make
    for client in clients:
        await client.aclose()


@pytest.fixture
async def tenant(newcomer: Newcomer) -> Tenant:
    return await newcomer()
