"""The operator looks at the fleet and tells it what to do, over HTTP; nobody else may, and all of it is recorded."""

import asyncio
import itertools
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from erp.app import build_app
from erp.http.gate import Gate
from erp.operations import instances_routes
from erp.settings import load_settings
from tests.api.whole.conftest import Tenant, client_of, running, settings_environment
from tests.instances.conftest import Fleet, until
from tests.services import Services


@pytest.fixture
async def second(gate: Gate, services: Services) -> AsyncIterator[Gate]:
    """Another API instance."""
    other = build_app(load_settings(settings_environment(services, "test-2")))
    async with running(other):
        yield other


async def ask(client: httpx.AsyncClient, path: str, expect: int = 200, **body: Any) -> Any:
    reply = await client.post(f"/v1{path}", json=body, headers={"Idempotency-Key": uuid.uuid4().hex})
    assert reply.status_code == expect, reply.text
    return reply.json()


async def look(client: httpx.AsyncClient, path: str, expect: int = 200, **asked: str) -> Any:
    reply = await client.get(f"/v1{path}", params=asked)
    assert reply.status_code == expect, reply.text
    return reply.json()


async def test_the_fleet_is_listed_page_by_page_and_by_role(operator: httpx.AsyncClient, second: Gate) -> None:
    names: list[str] = []
    page = await look(operator, "/instances", limit="1", role="api")
    while True:
        names += [one["name"] for one in page["data"]]
        if not page["has_more"]:
            break
        page = await look(operator, "/instances", limit="1", role="api", cursor=page["next_cursor"])
    assert {"test-1", "test-2"} <= set(names)
    assert names == sorted(names)
    assert (await look(operator, "/instances", role="nobody"))["data"] == []
    assert (await look(operator, "/instances", expect=422, colour="red"))["code"] == "unknown-field"
    assert (await look(operator, "/instances", expect=422, limit="0"))["code"] == "invalid-value"
    one = await look(operator, "/instances/test-2")
    assert (one["role"], one["state"]) == ("api", "ready")
    assert await look(operator, f"/instances/{one['id']}") == one | {
        changing: (await look(operator, f"/instances/{one['id']}"))[changing]
        for changing in ("silent_for_seconds", "load")
    }
    assert (await look(operator, "/instances/nobody", expect=404))["code"] == "not-found"


async def test_the_cluster_adds_up(operator: httpx.AsyncClient, second: Gate) -> None:
    cluster = await look(operator, "/cluster")
    [api] = [one for one in cluster["roles"] if one["role"] == "api"]
    assert api["instances"] >= 2
    assert api["pool_size"] > 0
    assert sum(cluster["versions"].values()) == cluster["instances"]
    assert not cluster["degraded"]


async def test_a_drained_instance_is_not_ready_until_it_is_put_back(
    operator: httpx.AsyncClient, second: Gate, services: Services
) -> None:
    async with client_of(second, services.operator_key) as other:
        answer = await ask(operator, "/instances/test-2/drain", reason="A new disk")
        assert answer["state"] == "draining"
        ready = await other.get("/health/ready")
        assert (ready.status_code, ready.json()["reasons"]) == (503, ["draining"])
        assert (await other.get("/v1/instances")).status_code == 200  # what reaches it is still served
        assert (await look(operator, "/instances/test-2"))["state"] == "draining"
        assert (await ask(operator, "/instances/test-2/undrain", reason="Done"))["state"] == "ready"
        assert (await other.get("/health/ready")).status_code == 200


async def test_the_last_ready_one_of_its_role_is_drained_by_force_only(
    operator: httpx.AsyncClient, services: Services
) -> None:
    fleet = Fleet(services.redis_sessions_url)
    one = await fleet.join("lonely")
    refused = await ask(operator, f"/instances/{one.about.id}/drain", 409, reason="For a test")
    assert refused["code"] == "last-instance"
    forced = await ask(operator, f"/instances/{one.about.id}/drain", reason="For a test", force=True)
    assert forced["state"] == "draining"
    await fleet.end()


async def drained_at_once(operator: httpx.AsyncClient, second: Gate, services: Services) -> list[int]:
    """How many of three instances are ready after all of them were drained at once through two API instances, in
    each of several rounds.
    """
    fleet, left = Fleet(services.redis_sessions_url), []
    async with client_of(second, services.operator_key) as other:
        for _ in range(5):
            three = [await fleet.join("trio") for _ in range(3)]
            ways = itertools.cycle((operator, other))
            paths = [f"/v1/instances/{one.about.id}/drain" for one in three]
            replies = await asyncio.gather(*(next(ways).post(path, json={"reason": "All at once"}) for path in paths))
            states = [one.condition().state for one in three]
            assert [reply.status_code == 200 for reply in replies] == [state == "draining" for state in states]
            assert {reply.json().get("code", "last-instance") for reply in replies} == {"last-instance"}
            left.append(states.count("ready"))
            await fleet.end()
            fleet = Fleet(services.redis_sessions_url)
    return left


async def test_who_drains_all_at_once_leaves_one(
    operator: httpx.AsyncClient, second: Gate, services: Services
) -> None:
    assert await drained_at_once(operator, second, services) == [1] * 5


async def test_looking_and_draining_one_beside_the_other_empties_the_role(
    operator: httpx.AsyncClient, second: Gate, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug of the test above: nobody waits for who drains another one of the role."""

    async def at_once(locks: Any, platform: Any, tenant_id: Any, role: str, run: Any) -> Any:
        return await run()

    monkeypatch.setattr(instances_routes, "draining_alone", at_once)
    assert 0 in await drained_at_once(operator, second, services)


async def test_one_or_all_read_the_configuration_again_and_change_their_log_level(
    operator: httpx.AsyncClient, second: Gate
) -> None:
    one = await ask(operator, "/instances/test-2/reload-configuration")
    assert one["data"][0]["answer"]["confirmed"]
    everybody = await ask(operator, "/cluster/reload-configuration", role="api")
    assert len(everybody["data"]) >= 2
    assert all(answer["answer"]["confirmed"] for answer in everybody["data"])
    level = await ask(operator, "/instances/test-2/log-level", level="debug", seconds=60, reason="To see")
    assert level["data"][0]["answer"]["level"] == "debug"
    over = await ask(operator, "/cluster/log-level", level="debug", seconds=0, reason="Seen", role="api")
    assert {answer["answer"]["level"] for answer in over["data"]} == {"info"}
    for wrong in ({"level": "loud", "seconds": 1}, {"level": "info", "seconds": 3601}, {"level": "info"}):
        reply = await operator.post("/v1/cluster/log-level", json={**wrong, "reason": "Wrong"})
        assert reply.status_code == 422, reply.text


async def test_diagnostics_of_one_and_of_one_of_a_role(
    operator: httpx.AsyncClient, second: Gate, services: Services
) -> None:
    found = await ask(operator, "/instances/test-2/diagnostics")
    assert found["instance"].startswith("test-2:")
    assert {"tasks", "threads", "pools", "configuration"} <= found["diagnostics"].keys()
    assert "primary" in found["diagnostics"]["pools"]
    chosen = {
        (await ask(operator, "/cluster/diagnostics", role="api", selection="round_robin"))["instance"]
        for _ in range(len((await look(operator, "/instances", role="api"))["data"]))
    }
    assert len(chosen) >= 2
    # The turn is the fleet's, whichever instance is asked.
    async with client_of(second, services.operator_key) as other:
        in_turn = [
            (await ask(client, "/cluster/diagnostics", role="api", selection="round_robin"))["instance"]
            for client in (operator, other) * 2
        ]
    assert all(one != following for one, following in itertools.pairwise(in_turn))
    for selection in ("least_loaded", "random"):
        assert (await ask(operator, "/cluster/diagnostics", role="api", selection=selection))["diagnostics"]
    assert (await ask(operator, "/cluster/diagnostics", 409, role="nobody"))["code"] == "no-instance"


async def test_a_lost_instance_cannot_be_told_and_nobody_waits_long(
    operator: httpx.AsyncClient, gate: Gate, services: Services
) -> None:
    lost = build_app(load_settings(settings_environment(services, "test-lost")))
    async with running(lost):
        instance = lost._services.instance
        assert instance._ears._task is not None
        instance._ears._task.cancel()

        async def deaf() -> bool:
            reply = await operator.post("/v1/instances/test-lost/diagnostics", json={})
            return bool(reply.status_code == 409 and reply.json()["code"] == "instance-unreachable")

        began = time.monotonic()
        await until(deaf)
        assert time.monotonic() - began < 15


async def test_only_the_operator_may_and_what_it_did_is_in_its_trail(
    operator: httpx.AsyncClient, tenant: Tenant, second: Gate
) -> None:
    for path in ("/instances", "/instances/test-1", "/cluster", "/leader", "/leader/history", "/features"):
        assert (await look(tenant.client, path, expect=403))["code"] == "operator-only"
    for path in ("/instances/test-2/drain", "/leader/transfer", "/features/compressed_cache_entries/activate"):
        assert (await ask(tenant.client, path, 403, reason="I may all"))["code"] == "operator-only"
    await ask(operator, "/instances/test-2/log-level", level="info", seconds=0, reason="For the trail")
    trail = await look(operator, "/audit-entries", limit="50", sort="-at")
    entry = next(one for one in trail["data"] if one["action"] == "instances.log_level")
    assert entry["after"]["target"].startswith("test-2:")
    assert entry["after"]["reason"] == "For the trail"
    assert entry["principal_kind"] == "operator"
