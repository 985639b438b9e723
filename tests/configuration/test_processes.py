"""API, worker and coordinator processes work with a change within a second, and a restarted one from its start."""

import asyncio
import re
import signal
import time
import urllib.request

import httpx
import pytest

from deploy.local.ports import free_port
from tests.api.whole.conftest import Tenant
from tests.configuration.conftest import change
from tests.services import Services
from tests.workers.conftest import BRISK, Processes, Tables, clean, processes, queue_redis, signal_group, tables

__all__ = ["clean", "processes", "queue_redis", "tables"]

_REVISION = re.compile(r'^configuration_revision\{database="main"\} (\S+)$', re.MULTILINE)


def revision_at(port: int) -> float:
    """What the process says it works with; -1 while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2) as answer:
            found = _REVISION.search(answer.read().decode())
    except OSError:
        return -1
    return float(found[1]) if found else -1


async def reached(port: int, revision: int, within: float) -> float:
    started = time.monotonic()
    while await asyncio.to_thread(revision_at, port) < revision:
        assert time.monotonic() - started < within, f"revision {revision} not within {within} s"
        await asyncio.sleep(0.02)
    return time.monotonic() - started


@pytest.fixture
def ports() -> list[int]:
    return [free_port() for _ in range(3)]


def metrics_at(port: int) -> dict[str, str]:
    return {**BRISK, "ERP_METRICS_PORT": str(port)}


async def test_every_process_works_with_a_change_within_a_second(
    processes: Processes, ports: list[int], system: httpx.AsyncClient, tenant: Tenant, tables: Tables
) -> None:
    coordinator = processes.coordinator(metrics_at(ports[0]))
    processes.worker("low", settings=metrics_at(ports[1]), module="workers.main")
    first = await change(system, workers__max_attempts=5)
    for port in ports[:2]:
        await reached(port, first, 30.0)
    second = await change(system, workers__max_attempts=7, log__level="warning")
    # The two are asked one after the other, on two busy cores.
    took = [await reached(port, second, 3.0) for port in ports[:2]]
    assert took[0] < 2.0, took

    signal_group(coordinator, signal.SIGKILL)
    third = await change(system, workers__max_attempts=9)
    await reached(ports[1], third, 3.0)
    processes.coordinator(metrics_at(ports[2]))
    await reached(ports[2], third, 30.0)
    assert processes.log().count(f'"main":{first},') == 2
    assert f'"main":{third},' not in processes.log()  # said at a level that is not written any more

    [period, *_] = (await tenant.get("/v1/periods", limit="1", sort="start_date"))["data"]
    await tenant.post(f"/v1/periods/{period['id']}/close", {"state": "soft_closed", "reason": "Counted"})
    asked = "FROM jobs WHERE tenant_id = %(id)s AND kind = 'trial_balance_snapshot' AND event_id IS NOT NULL"
    await tables.until(f"SELECT count(*) > 0 {asked}", id=tenant.id)
    assert tables.value(f"SELECT max_attempts {asked}", id=tenant.id) == 9


async def test_a_limit_holds_for_the_next_requests_of_a_running_instance(
    system: httpx.AsyncClient, tenant: Tenant, services: Services
) -> None:
    """The instance was started with a million a minute."""
    for _ in range(10):
        await tenant.get("/v1/tenant")
    await change(system, limits__key_per_minute=15)
    codes: list[int] = []
    started = time.monotonic()
    while 429 not in codes and time.monotonic() - started < 5:
        codes.append((await tenant.client.get("/v1/tenant")).status_code)
    assert codes[-1] == 429
    reply = await tenant.client.get("/v1/tenant")
    assert reply.json()["limit_name"] == "key"
    assert reply.json()["limit"] == 15
    await change(system, limits__key_per_minute=None)
    while (await tenant.client.get("/v1/tenant")).status_code == 429:
        assert time.monotonic() - started < 10, "the limit was not raised again"
        await asyncio.sleep(0.05)
