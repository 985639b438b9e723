"""A feature is on only when every live instance has said that it can; who cannot is named, and joins no more."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from erp.http.gate import Gate
from fleet.configuration.snapshot import current
from fleet.features import agreement as agreement_module
from fleet.features.agreement import agree
from fleet.health import Readiness
from fleet.instances.instance import PING, Hooks, Instance
from fleet.instances.member import Roll
from tenancy.cache.wire import COMPRESSED, read_back, written
from tests.api.whole.test_cached_reads import old_redis
from tests.configuration.conftest import store, watching
from tests.instances.conftest import Fleet, about_of, kill, until
from tests.services import Services

__all__ = ["old_redis", "store"]

NAME = "compressed_cache_entries"
PATH = f"/v1/features/{NAME}"


async def whole(instance: Instance) -> None:
    async def is_whole() -> bool:
        return (await instance.registry.roll()).whole

    await until(is_whole)


async def test_all_who_live_and_can_are_an_agreement(fleet: Fleet) -> None:
    members = [await fleet.join(role, features=("new",)) for role in ("api", "worker", "coordinator")]
    await whole(members[0])
    found = await agree(members[0].registry, members[0].bus, "new")
    assert found.reached
    assert set(found.acknowledged) == {one.about.id for one in members}


async def test_many_who_ask_for_agreement_at_once_all_find_it(fleet: Fleet) -> None:
    """Each of eight asks all eight; then one that cannot joins, and none of those who ask again at once misses it."""
    members = [await fleet.join(features=("new",)) for _ in range(8)]
    await whole(members[0])
    everybody = {one.about.id for one in members}

    async def all_agree() -> bool:
        found = await asyncio.gather(*(agree(one.registry, one.bus, "new") for one in members))
        if not all(one.whole for one in found):
            return False  # the machine stood still: the registry doubts then, and doubt is a no
        assert [(one.reached, set(one.acknowledged)) for one in found] == [(True, everybody)] * 8
        return True

    await until(all_agree)
    older = await fleet.join("worker")
    found = await asyncio.gather(*(agree(one.registry, one.bus, "new") for one in members))
    assert [(one.reached, one.lacking) for one in found] == [(False, (older.about.id,))] * 8


async def test_one_who_does_not_know_it_is_named(fleet: Fleet) -> None:
    asking, older = await fleet.join(features=("new",)), await fleet.join("worker")
    await whole(asking)
    found = await agree(asking.registry, asking.bus, "new")
    assert (found.reached, found.lacking) == (False, (older.about.id,))


async def test_one_who_does_not_answer_has_not_agreed(fleet: Fleet) -> None:
    asking, lost = await fleet.join(features=("new",)), await fleet.join("worker", features=("new",))
    await whole(asking)
    kill(lost)
    found = await agree(asking.registry, asking.bus, "new", timeout=0.3)
    assert (found.reached, found.silent) == (False, (lost.about.id,))

    async def dead() -> bool:
        return (await agree(asking.registry, asking.bus, "new", timeout=0.3)).reached

    await until(dead)


async def test_one_who_joins_meanwhile_without_being_asked_has_not_agreed(fleet: Fleet) -> None:
    asking = await fleet.join(features=("new",))
    await whole(asking)
    joined: list[Instance] = []

    async def slow(body: dict[str, Any]) -> dict[str, Any]:
        joined.append(await fleet.join("worker"))
        return {"features": ["new"]}

    asking.bus.answer(PING, slow)
    found = await agree(asking.registry, asking.bus, "new")
    assert (found.reached, found.silent) == (False, (joined[0].about.id,))


async def test_a_registry_that_was_just_lost_hides_nobody(fleet: Fleet) -> None:
    asking, older = await fleet.join(features=("new",)), await fleet.join("worker")
    await whole(asking)
    await asking._redis.flushall()
    await asking.registry.beat(asking.about, asking.condition())
    found = await agree(asking.registry, asking.bus, "new")
    assert not found.whole
    assert not found.reached
    await whole(asking)
    assert (await agree(asking.registry, asking.bus, "new")).lacking == (older.about.id,)


async def test_an_agreement_of_whoever_is_listed_would_be_found(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug of the test above: a list that may not be whole is believed."""
    asking, _ = await fleet.join(features=("new",)), await fleet.join("worker")
    monkeypatch.setattr(
        agreement_module.Agreement, "reached", property(lambda one: not one.lacking and not one.silent)
    )
    real = asking.registry.roll

    async def just_flushed() -> Roll:
        roll = await real()
        return Roll(tuple(one for one in roll.members if one.id == asking.about.id), whole=False)

    monkeypatch.setattr(asking.registry, "roll", just_flushed)
    assert (await agree(asking.registry, asking.bus, "new")).reached


# -- through the API -----------------------------------------------------------------------------------


async def post(operator: httpx.AsyncClient, action: str, expect: int = 200) -> Any:
    reply = await operator.post(
        f"{PATH}/{action}", json={"reason": "For a test"}, headers={"Idempotency-Key": uuid.uuid4().hex}
    )
    assert reply.status_code == expect, reply.text
    return reply.json()


@pytest.fixture
async def off(operator: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """The operator, with a registry that is whole; the feature is off again afterwards."""

    async def complete() -> bool:
        return bool((await operator.get("/v1/cluster")).json()["complete"])

    await until(complete)
    yield operator
    await post(operator, "deactivate")


async def agreed(operator: httpx.AsyncClient) -> Any:
    """Activated as soon as processes that other tests have killed count as dead."""
    found: list[Any] = []

    async def active() -> bool:
        reply = await operator.post(f"{PATH}/activate", json={"reason": "For a test"})
        found[:] = [reply.json()]
        return reply.status_code == 200

    await until(active)
    return found[0]


async def test_the_operator_turns_a_feature_on_and_off_and_every_process_follows(
    off: httpx.AsyncClient, services: Services
) -> None:
    async with watching(services.platform_url, services.redis_cache_url) as another:
        answer = await agreed(off)
        assert answer["active"]
        assert any(one.startswith("test-1:") for one in answer["acknowledged"])

        async def followed() -> bool:
            return another.configuration.get(COMPRESSED.key) and current().get(COMPRESSED.key)

        took = await until(followed, 5.0)
        print(f"followed after {took * 1000:.0f} ms")
        [feature] = [one for one in (await off.get("/v1/features")).json()["data"] if one["name"] == NAME]
        assert (feature["active"], feature["known"], feature["lacking"]) == (True, True, [])
        assert (await agreed(off))["revision"] is None  # it is on already
        await post(off, "deactivate")

        async def forgotten() -> bool:
            return not another.configuration.get(COMPRESSED.key)

        await until(forgotten, 5.0)
    history = (await off.get("/v1/configuration/changes", params={"key": f"features.{NAME}"})).json()["data"]
    assert [one["after"] for one in history[:2]] == [None, True]
    trail = (await off.get("/v1/audit-entries", params={"limit": "50", "sort": "-at"})).json()["data"]
    assert {"features.activate", "features.deactivate"} <= {one["action"] for one in trail}


async def test_of_several_activations_at_once_one_is_the_change(off: httpx.AsyncClient) -> None:
    """And while one is turned on and another off, what holds in the end is what the history ends with."""
    await agreed(off)
    await post(off, "deactivate")
    before = len(await changes(off))
    answers = await asyncio.gather(*(agreed(off) for _ in range(6)))
    assert all(one["active"] for one in answers)
    assert sum(one["revision"] is not None for one in answers) == 1
    history = await changes(off)
    assert (len(history), history[0]["after"]) == (before + 1, True)
    for _ in range(5):
        await asyncio.gather(agreed(off), post(off, "deactivate"))
        last = (await changes(off))[0]["after"]

        async def as_told(last: Any = last) -> bool:
            return bool(current().get(COMPRESSED.key)) == bool(last)

        await until(as_told, 5.0)


async def changes(operator: httpx.AsyncClient) -> list[Any]:
    """Of the feature, the newest first."""
    found = await operator.get("/v1/configuration/changes", params={"key": f"features.{NAME}", "limit": "100"})
    return list(found.json()["data"])


async def test_an_instance_that_does_not_know_it_is_named_and_nothing_changes(
    off: httpx.AsyncClient, services: Services
) -> None:
    older = Fleet(services.redis_sessions_url)
    lacking = await older.join("worker")
    problem = await post(off, "activate", 409)
    assert problem["code"] == "feature-not-agreed"
    assert problem["lacking"] == [lacking.about.id]
    cluster = (await off.get("/v1/cluster")).json()
    assert cluster["lacking"] == {}  # nothing is active yet
    assert not current().get(COMPRESSED.key)
    await older.end()


async def test_nobody_sets_it_like_a_key_of_the_configuration(off: httpx.AsyncClient) -> None:
    key = f"features.{NAME}"
    change = {"settings": [{"key": key, "value": True}], "reason": "By the back door"}
    assert (await off.post("/v1/configuration/changes", json=change)).json()[
        "code"
    ] == "configuration-key-by-agreement"
    restore = {"values": {key: True}, "reason": "By the back door"}
    assert (await off.post("/v1/configuration/import", json=restore)).json()[
        "code"
    ] == "configuration-key-by-agreement"
    await agreed(off)
    exported = (await off.get("/v1/configuration/export")).json()
    assert key not in exported["values"]
    rolled = await off.post("/v1/configuration/rollback", json={"to_version": 1, "reason": "Everything back"})
    assert rolled.status_code == 200, rolled.text
    [feature] = [one for one in (await off.get("/v1/features")).json()["data"] if one["name"] == NAME]
    assert feature["active"]
    assert (await off.post("/v1/features/no_such_thing/activate", json={"reason": "None"})).status_code == 404


async def test_who_joins_later_without_knowing_it_takes_no_work_and_says_why(
    services: Services, store: Callable[[str, str], None]
) -> None:
    """A newer release's feature is active; this one has never heard of it."""
    told: list[bool] = []
    readiness = Readiness()
    readiness.start()
    store("features.of_tomorrow", "true")
    try:
        async with watching(services.platform_url, services.redis_cache_url) as watch:
            hooks = Hooks(readiness, watch.configuration, watch.reload, told.append)
            late = joined(services, hooks)
            await late.start()
            assert readiness.reasons() == ["unknown_feature"]
            member = (await late.registry.roll()).named(late.about.name)
            assert member is not None
            assert member.condition.state == "not_ready"
            assert member.condition.unknown_features == ["of_tomorrow"]
            assert told == [True]  # no new jobs, no lead
            store("features.of_tomorrow", "false")

            async def understood() -> bool:
                return readiness.ready() and told == [True, False]

            await until(understood, 5.0)
            await late.close()
    finally:
        store("features.of_tomorrow", "false")


def joined(services: Services, hooks: Hooks) -> Instance:
    about = about_of("worker")
    return Instance(about, services.redis_sessions_url, hooks, heartbeat=0.5, dead_after=4.0)


# -- what it is used for -------------------------------------------------------------------------------


def test_either_form_is_read_whatever_is_active(monkeypatch: pytest.MonkeyPatch) -> None:
    long, short = b'{"data":[' + b'{"id":"a"},' * 500 + b"{}]}", b'{"id":"a"}'
    monkeypatch.setattr(type(COMPRESSED), "active", property(lambda feature: False))
    assert (written(long), written(short), read_back(long)) == (long, short, long)
    monkeypatch.setattr(type(COMPRESSED), "active", property(lambda feature: True))
    assert len(written(long)) < len(long) / 10
    assert (read_back(written(long)), written(short), read_back(b"")) == (long, short, b"")


@pytest.mark.usefixtures("old_redis")
async def test_cached_lists_are_compressed_in_redis_once_the_fleet_has_agreed(
    off: httpx.AsyncClient, gate: Gate, services: Services, newcomer: Any
) -> None:
    tenant = await newcomer()
    for number in range(30):
        await tenant.make("products", code=f"P{number}", name=f"Product {number}")
    redis = gate._services.cache._channel

    async def stored() -> list[bytes]:
        await tenant.get("/v1/products", limit="30")
        keys = await redis.execute_command("KEYS", f"c:{tenant.id.replace('-', '')}:list:*")
        values = [await redis.execute_command("HGET", key, "d") for key in keys if not key.endswith(b":lead")]
        return [value for value in values if value]

    async def plain() -> bool:
        found = await stored()
        return bool(found) and not any(value.startswith(b"\0z") for value in found)

    async def compressed() -> bool:
        return any(value.startswith(b"\0z") for value in await stored())

    await until(plain)
    await agreed(off)
    await tenant.make("products", code="ANOTHER", name="Another")  # ends the cached list
    await until(compressed)
    gate._services.cache._memory.clear()
    assert len((await tenant.get("/v1/products", limit="30"))["data"]) == 30  # read back from Redis
