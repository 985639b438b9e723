"""Locks over three independent Redis servers: what a majority grants, keeps and loses."""

import asyncio
import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from db.errors import LockTimeout
from db.redis import connect
from tenancy.lock_quorum import Nodes
from tenancy.locks import LockService
from tests.services import PREFIX
from tests.tenancy.coordination.conftest import OwnRedis, own_server

A, B = (f"stock:{letter * 32}" for letter in "ab")


@pytest.fixture(scope="module")
def servers() -> Iterator[list[OwnRedis]]:
    root = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    root.chmod(0o711)
    found = [own_server(root, f"lock{number}") for number in range(3)]
    for server in found:
        server.start()
    yield found
    for server in found:
        server.recover()
        server.stop()
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
async def three(servers: list[OwnRedis]) -> AsyncIterator[list[OwnRedis]]:
    for server in servers:
        server.recover()
    for url in (server.url for server in servers):
        client = connect(url, timeout=0.5)
        await client.flushall()
        await client.aclose()
    yield servers
    for server in servers:
        server.recover()


@contextlib.asynccontextmanager
async def a_process(servers: list[OwnRedis], **options: Any) -> AsyncIterator[LockService]:
    clients = [connect(server.url, timeout=0.2) for server in servers]
    service = LockService(clients[0], nodes=clients, **options)
    await service.start()
    yield service
    await service.close()
    for client in clients:
        await client.aclose()


async def test_of_two_processes_one_holds_the_lock(three: list[OwnRedis], tenant: uuid.UUID) -> None:
    async with a_process(three) as one, a_process(three) as other:
        handle = await one.acquire(tenant, [A, B])
        assert not handle.degraded
        with pytest.raises(LockTimeout):
            await other.acquire(tenant, [B], wait=0.1)
        one.release(handle)
        taken = await other.acquire(tenant, [B], wait=1.0)
        assert not taken.degraded
        other.release(taken)


async def test_one_of_three_servers_killed_changes_nothing(three: list[OwnRedis], tenant: uuid.UUID) -> None:
    async with a_process(three) as one, a_process(three) as other:
        held = await one.acquire(tenant, [A])
        three[1].kill()
        with pytest.raises(LockTimeout):
            await other.acquire(tenant, [A], wait=0.3)
        fresh = await other.acquire(tenant, [B], wait=1.0)
        assert not fresh.degraded
        one.release(held)
        again = await other.acquire(tenant, [A], wait=1.0)
        assert not again.degraded
        assert [info.name for info in (await other.listing(tenant)).locks] == [A, B]


async def test_without_a_majority_work_goes_on_degraded(three: list[OwnRedis], tenant: uuid.UUID) -> None:
    async with a_process(three) as one:
        three[0].kill()
        three[1].kill()
        assert (await one.acquire(tenant, [A])).degraded


async def test_one_emptied_server_does_not_give_the_lock_away(three: list[OwnRedis], tenant: uuid.UUID) -> None:
    async with a_process(three) as one, a_process(three) as other:
        held = await one.acquire(tenant, [A])
        client = connect(three[0].url, timeout=0.5)
        await client.flushall()
        await client.aclose()
        with pytest.raises(LockTimeout):
            await other.acquire(tenant, [A], wait=0.3)
        assert not held.lost


async def test_a_majority_that_forgot_the_lock_is_noticed(three: list[OwnRedis], tenant: uuid.UUID) -> None:
    lost = asyncio.Event()

    def note(event: str, kind: str, seconds: float) -> None:
        if event == "lost":
            lost.set()

    async with a_process(three, ttl=0.6, observe=note) as one:
        held = await one.acquire(tenant, [A])
        for server in three[:2]:
            client = connect(server.url, timeout=0.5)
            await client.flushall()
            await client.aclose()
        await asyncio.wait_for(lost.wait(), 3)
        assert held.lost


async def test_renewal_outlives_the_time_to_live(three: list[OwnRedis], tenant: uuid.UUID) -> None:
    async with a_process(three, ttl=0.5) as one, a_process(three) as other:
        held = await one.acquire(tenant, [A])
        with pytest.raises(LockTimeout):
            await other.acquire(tenant, [A], wait=1.2)
        assert not held.lost


async def test_many_rivals_are_inside_one_at_a_time(three: list[OwnRedis], tenant: uuid.UUID) -> None:
    inside = most = 0

    async def work(service: LockService) -> None:
        nonlocal inside, most
        for _ in range(5):
            async with service.hold(tenant, [A, B], wait=20.0) as handle:
                assert not handle.degraded
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1

    async with a_process(three) as one, a_process(three) as other, a_process(three) as third:
        await asyncio.gather(*(work(service) for service in (one, other, third) for _ in range(3)))
    assert most == 1


async def test_a_minority_counted_as_enough_lets_two_in(three: list[OwnRedis], tenant: uuid.UUID) -> None:
    """The bug that would be there without the majority."""
    async with a_process(three) as one:
        await one.acquire(tenant, [A])
        client = connect(three[0].url, timeout=0.5)
        await client.flushall()
        await client.aclose()
        async with a_process(three) as other:
            assert other._nodes is not None
            other._nodes.majority = 1
            assert not (await other.acquire(tenant, [A], wait=0.3)).degraded


def test_an_even_number_of_servers_is_refused() -> None:
    with pytest.raises(ValueError, match="odd number"):
        Nodes([])
