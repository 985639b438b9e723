"""Who lives is known within the promised time, whatever Redis forgets; without Redis nothing else changes."""

import asyncio
import contextlib
import uuid
from datetime import UTC, datetime

import pytest

from db.redis import connect
from fleet.instances import registry as registry_module
from fleet.instances.instance import Instance
from fleet.instances.member import About, Condition, Load
from fleet.instances.registry import Registry
from fleet.instruments import REGISTRY
from tenancy.admission import Gatekeeper
from tenancy.limits import tenant_limit
from tests.instances.conftest import DEAD_AFTER, HEARTBEAT, Fleet, kill, until
from tests.tenancy.coordination.conftest import OwnRedis
from workers.roll_call import RollCall


async def living(instance: Instance) -> set[str]:
    return {one.id for one in (await instance.registry.roll()).members}


async def test_an_instance_shows_what_it_is_and_how_it_does(fleet: Fleet) -> None:
    one = await fleet.join("worker", features=("one_thing",))
    [member] = (await one.registry.roll()).members
    assert member.about == one.about
    assert (member.condition.state, member.condition.reasons) == ("ready", [])
    assert member.silence < DEAD_AFTER
    assert member.condition.load.memory_mib > 1


async def test_a_killed_instance_is_gone_when_its_silence_means_death_and_not_before(fleet: Fleet) -> None:
    watching, lost = await fleet.join(), await fleet.join("worker")
    kill(lost)
    assert lost.about.id in await living(watching)

    async def gone() -> bool:
        return lost.about.id not in await living(watching)

    took = await until(gone)
    assert took > DEAD_AFTER - 2 * HEARTBEAT
    assert await living(watching) == {watching.about.id}


async def test_an_instance_that_says_farewell_is_gone_at_once(fleet: Fleet) -> None:
    watching, leaving = await fleet.join(), await fleet.join()
    await leaving.close()
    fleet._running.remove(leaving)
    assert await living(watching) == {watching.about.id}


async def test_after_a_flush_everybody_is_back_and_until_then_the_list_says_it_is_not_whole(
    fleet: Fleet, own_redis: OwnRedis
) -> None:
    members = [await fleet.join(role) for role in ("api", "api", "worker", "coordinator")]

    async def whole() -> bool:
        return (await members[0].registry.roll()).whole

    async def back() -> bool:
        return await living(members[0]) == {one.about.id for one in members}

    await until(whole)
    redis = connect(own_redis.url, timeout=0.5)
    await redis.flushall()
    await redis.aclose()
    assert not await whole()
    await until(back, 10.0)
    await until(whole)
    assert await back()


async def test_without_redis_the_list_is_empty_and_says_so(fleet: Fleet, own_redis: OwnRedis) -> None:
    one = await fleet.join()
    own_redis.stop()
    roll = await one.registry.roll()
    assert (roll.members, roll.degraded, roll.whole) == ((), True, False)
    own_redis.start()

    async def back() -> bool:
        return await living(one) == {one.about.id}

    await until(back)


async def aged_registry(own_redis: OwnRedis) -> bool:
    """Whether a registry counts as whole in which one of two was heard of again after everybody's long silence."""
    redis = connect(own_redis.url, timeout=0.5)
    await redis.flushall()
    registry = Registry(redis, heartbeat=5.0, dead_after=20.0)
    first, second = (about(name) for name in ("first:0", "second:0"))
    now = Condition(state="ready", load=Load())
    await registry.beat(first, now)
    await redis.set("erp:instances:since", 0)
    assert (await registry.roll()).whole
    await redis.zincrby("erp:instances", -11_000, first.id)
    await registry.beat(second, now)
    whole = (await registry.roll()).whole
    await redis.aclose()
    return whole


def about(name: str) -> About:
    return About(id=name, name=name, role="api", version="1", host="h", pid=1, started_at=datetime.now(UTC))


async def test_after_an_outage_longer_than_two_heartbeats_nobody_says_who_is_missing(own_redis: OwnRedis) -> None:
    assert not await aged_registry(own_redis)


async def test_a_registry_that_takes_itself_for_whole_after_an_outage_would_be_found(
    own_redis: OwnRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug of the test above."""
    source = registry_module.BEAT.source.replace("now - tonumber(ARGV[5])", "0")
    monkeypatch.setattr(registry_module, "BEAT", type(registry_module.BEAT)(source))
    assert await aged_registry(own_redis)


async def test_many_register_and_leave_at_once_and_nobody_is_lost_or_taken_for_another(own_redis: OwnRedis) -> None:
    """Twenty, each over connections of its own, after a flush; then half leaves while the others beat."""
    looking = connect(own_redis.url, timeout=2.0)
    await looking.flushall()
    everybody = [(connect(own_redis.url, timeout=2.0), about(f"one-{number}:0")) for number in range(20)]
    registries = {one.id: Registry(redis, heartbeat=5.0, dead_after=20.0) for redis, one in everybody}

    async def beat(one: About) -> None:
        reason = Condition(state="not_ready", reasons=[one.id], load=Load())
        await asyncio.gather(*(registries[one.id].beat(one, reason) for _ in range(3)))

    async def members() -> dict[str, list[str]]:
        roll = await Registry(looking, heartbeat=5.0, dead_after=20.0).roll()
        assert all(one.about.name == one.id for one in roll.members)
        return {one.id: one.condition.reasons for one in roll.members}

    await asyncio.gather(*(beat(one) for _, one in everybody))
    assert await members() == {one.id: [one.id] for _, one in everybody}
    leaving, staying = everybody[:10], everybody[10:]
    await asyncio.gather(
        *(registries[one.id].leave(one.id) for _, one in leaving), *(beat(one) for _, one in staying)
    )
    assert await members() == {one.id: [one.id] for _, one in staying}
    await asyncio.gather(looking.aclose(), *(redis.aclose() for redis, _ in everybody))


async def test_a_record_of_another_shape_hides_nobody_else(fleet: Fleet, own_redis: OwnRedis) -> None:
    one = await fleet.join()
    redis = connect(own_redis.url, timeout=0.5)
    await redis.zadd("erp:instances", {"strange:1": 9e15})
    await redis.hset("erp:instance:strange:1", mapping={"about": b"\xff", "now": b"{}"})
    await redis.aclose()
    assert await living(one) == {one.about.id}


async def test_a_registry_that_never_forgets_would_be_found(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted bug: silence is not looked at."""
    source = registry_module.ROLL.source.replace("now - tonumber(ARGV[2])", "'-inf'")
    monkeypatch.setattr(registry_module, "ROLL", type(registry_module.ROLL)(source))
    watching, lost = await fleet.join(), await fleet.join("worker")
    kill(lost)
    await asyncio.sleep(DEAD_AFTER + 2 * HEARTBEAT)
    assert lost.about.id in await living(watching)


def losses(role: str) -> float | None:
    return REGISTRY.get_sample_value("fleet_instances_lost_total", {"role": role})


async def counted(calls: RollCall, role: str, expect: float) -> None:
    async def so() -> bool:
        await calls.look()
        return losses(role) == expect

    await until(so, DEAD_AFTER + 3)


async def whole(instance: Instance) -> None:
    async def so() -> bool:
        return (await instance.registry.roll()).whole

    await until(so)


async def test_only_silence_without_a_farewell_counts_as_a_loss(fleet: Fleet) -> None:
    watching, leaves, dies = await fleet.join(), await fleet.join("leaving-role"), await fleet.join("dying-role")
    calls = RollCall(watching.registry, leads=lambda: True)
    await whole(watching)
    # The series is there before anybody is lost: an alert on its increase sees the first loss.
    await counted(calls, "dying-role", 0.0)
    assert losses("leaving-role") == 0.0
    await leaves.close()
    for _ in range(5):  # on a machine that stands still the registry doubts itself meanwhile, and says nothing
        kill(dies)
        with contextlib.suppress(AssertionError):
            await counted(calls, "dying-role", 1.0)
            break
        dies = await fleet.join("dying-role")
    assert losses("dying-role") == 1.0
    assert losses("leaving-role") == 0.0


async def test_a_lost_leader_is_counted_by_the_next_one_however_late_and_once(fleet: Fleet) -> None:
    """Silence means death before the lead is to be had: the next leader's first look shows it no more."""
    watching, leader = await fleet.join("watching-role"), await fleet.join("leading-role")
    leads = False
    calls = RollCall(watching.registry, leads=lambda: leads)
    await whole(watching)
    await calls.look()
    kill(leader)

    async def gone() -> bool:
        return leader.about.id not in await living(watching)

    await until(gone)
    for _ in range(3):
        await calls.look()
    assert losses("leading-role") == 0.0  # it does not lead yet; the series is there
    leads = True
    another = RollCall(watching.registry, leads=lambda: True)  # a leader that was paused, say
    for one in (calls, another, calls):
        await one.look()
    assert losses("leading-role") == 1.0


async def test_a_process_that_begins_when_the_leader_is_gone_already_counts_it(fleet: Fleet) -> None:
    watching, leader = await fleet.join("watching-role"), await fleet.join("gone-role")
    await whole(watching)
    kill(leader)

    async def gone() -> bool:
        return leader.about.id not in await living(watching)

    await until(gone)
    await RollCall(watching.registry, leads=lambda: True).look()
    assert losses("gone-role") == 1.0


async def lost_after_an_outage(own_redis: OwnRedis, outage: int) -> dict[str, str]:
    """Who counts as lost of two that were silent for `outage` milliseconds, and one came back."""
    redis = connect(own_redis.url, timeout=0.5)
    await redis.flushall()
    registry = Registry(redis, heartbeat=5.0, dead_after=20.0)
    back, silent = (about(name) for name in ("back:0", "silent:0"))
    now = Condition(state="ready", load=Load())
    for one in (back, silent):
        await registry.beat(one, now)
        await redis.zincrby("erp:instances", -outage, one.id)
    await registry.beat(back, now)
    await redis.zincrby("erp:instances", -20_000, silent.id)
    found = await registry.losses(take=True)
    await redis.aclose()
    return found


async def test_who_may_have_left_while_nobody_could_say_so_is_no_loss(own_redis: OwnRedis) -> None:
    assert await lost_after_an_outage(own_redis, 1_000) == {"silent:0": "api"}
    assert await lost_after_an_outage(own_redis, 11_000) == {}


async def test_a_registry_that_remembers_over_an_outage_would_be_found(
    own_redis: OwnRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug of the test above."""
    source = registry_module.BEAT.source.replace("redis.call('DEL', KEYS[4])", "")
    monkeypatch.setattr(registry_module, "BEAT", type(registry_module.BEAT)(source))
    assert await lost_after_an_outage(own_redis, 11_000) == {"silent:0": "api"}


async def test_the_share_of_a_limit_without_redis_follows_how_many_instances_there_were(
    fleet: Fleet, own_redis: OwnRedis
) -> None:
    """The autoscaler starts and ends instances of the API; Redis then goes while there are five."""
    client = connect(own_redis.url, timeout=0.3)
    gatekeeper = Gatekeeper(client, instances=3)
    await fleet.join("api", peers=gatekeeper.shared_by)
    others = [await fleet.join(role) for role in ("api", "api", "api", "api", "api", "worker")]

    async def knows(count: int) -> bool:
        return gatekeeper.instances == count

    await until(lambda: knows(6))
    kill(others[0])
    await until(lambda: knows(5))
    own_redis.stop()
    tenant = uuid.uuid4()
    limits = (tenant_limit(tenant, 20),)
    answers = [await gatekeeper.admit(tenant, tenant, limits, False) for _ in range(20)]
    assert sum(answer.allowed for answer in answers) == 8  # twice a fifth
    assert await knows(5)
    await gatekeeper.close()
    await client.aclose()


def test_a_count_that_may_miss_somebody_only_ever_raises_the_number() -> None:
    gatekeeper = Gatekeeper(connect("redis://127.0.0.1:1", timeout=0.3), instances=3)
    gatekeeper.shared_by(1, whole=False)
    assert gatekeeper.instances == 3
    gatekeeper.shared_by(7, whole=False)
    assert gatekeeper.instances == 7
    gatekeeper.shared_by(2, whole=True)
    assert gatekeeper.instances == 2
    gatekeeper.shared_by(0, whole=True)
    assert gatekeeper.instances == 1
