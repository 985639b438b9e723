"""The gate with Redis: exact limits over processes, read-your-writes, credentials, guessing."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from db.counting import RoundTrips, round_trips
from db.redis import Script
from tenancy.admission import ADMIT, EPOCH_KEY, MEMORY_MS, Gatekeeper
from tenancy.limits import address_limit, key_limit, tenant_limit, user_limit
from tests.tenancy.coordination.conftest import OwnRedis, Rivals

HOUR_MS = 3_600_000


@pytest.fixture
def principal() -> uuid.UUID:
    return uuid.uuid4()


@pytest.fixture
async def gatekeeper(redis: Redis) -> AsyncIterator[Gatekeeper]:
    gate = Gatekeeper(redis)
    await gate.start()
    yield gate
    await gate.close()


@pytest.fixture
async def elsewhere(redis: Redis) -> AsyncIterator[Gatekeeper]:
    """The gate of another instance."""
    gate = Gatekeeper(redis)
    await gate.start()
    yield gate
    await gate.close()


async def let_epoch_age(redis: Redis) -> None:
    """As if this Redis had kept its data for a minute."""
    await redis.set(EPOCH_KEY, int((time.time() * 1000 - MEMORY_MS) * 1000))


async def test_one_request_is_one_round_trip(gatekeeper: Gatekeeper, tenant: uuid.UUID, principal: uuid.UUID) -> None:
    limits = (user_limit(tenant, principal, 9), key_limit(tenant, principal, 9), tenant_limit(tenant, 9))
    await gatekeeper.admit(tenant, principal, limits, True)
    round_trips.set(counter := RoundTrips())
    admission = await gatekeeper.admit(tenant, principal, limits, True)
    gatekeeper.remember_write(tenant, principal, 1)
    gatekeeper.remember_write(tenant, principal, 2)
    await gatekeeper.flush()
    round_trips.set(None)
    assert counter.redis == 1
    assert admission.allowed
    assert not admission.degraded


async def exactly_the_limit_passes(gates: list[Gatekeeper], allowed: int) -> None:
    tenant = uuid.uuid4()
    limits = (tenant_limit(tenant, allowed, HOUR_MS),)
    answers = await asyncio.gather(
        *(gate.admit(tenant, uuid.uuid4(), limits, False) for gate in gates for _ in range(allowed))
    )
    assert sum(answer.allowed for answer in answers) == allowed


async def test_two_instances_share_one_limit(gatekeeper: Gatekeeper, elsewhere: Gatekeeper) -> None:
    await exactly_the_limit_passes([gatekeeper, elsewhere], 20)


async def test_a_script_that_does_not_charge_is_caught(redis: Redis) -> None:
    planted = Script(ADMIT.source.replace("  take(w)\n", ""))
    assert planted.source != ADMIT.source
    gates = [Gatekeeper(redis, admit_script=planted) for _ in range(2)]
    with pytest.raises(AssertionError):
        await exactly_the_limit_passes(gates, 20)
    for gate in gates:
        await gate.close()


async def test_four_processes_let_exactly_the_limit_pass(
    own_redis: OwnRedis, redis: Redis, rivals: Rivals, tenant: uuid.UUID
) -> None:
    crowd = [await rivals("admit", own_redis.url, tenant, 200, 100, HOUR_MS) for _ in range(4)]
    for rival in crowd:
        assert await rival.says() == "ready"
    for rival in crowd:
        rival.tell()
    results = [tuple(map(int, (await rival.says()).split())) for rival in crowd]
    assert sum(passed for passed, _ in results) == 100
    assert sum(degraded for _, degraded in results) == 0


async def test_a_refused_request_consumes_nothing(
    gatekeeper: Gatekeeper, tenant: uuid.UUID, principal: uuid.UUID
) -> None:
    user, whole = user_limit(tenant, principal, 5), tenant_limit(tenant, 2)
    answers = [await gatekeeper.admit(tenant, principal, (user, whole), True) for _ in range(6)]
    assert [answer.allowed for answer in answers] == [True, True] + [False] * 4
    assert {answer.refused_by for answer in answers[2:]} == {"tenant"}
    for _ in range(2):
        gatekeeper.remember_write(tenant, principal, None)
    await gatekeeper.flush()
    later = await gatekeeper.admit(tenant, principal, (user,), False)
    assert later.remaining == 2
    assert later.pending == 0


async def test_the_tightest_limit_is_shown(gatekeeper: Gatekeeper, tenant: uuid.UUID, principal: uuid.UUID) -> None:
    limits = (user_limit(tenant, principal, 60), tenant_limit(tenant, 1000, HOUR_MS))
    admission = await gatekeeper.admit(tenant, principal, limits, False)
    assert (admission.limit, admission.remaining) == (60, 59)
    assert 0 < admission.reset <= 60
    unlimited = await gatekeeper.admit(tenant, principal, (), False)
    assert (unlimited.allowed, unlimited.limit, unlimited.refused_by) == (True, 0, None)


async def test_after_the_told_wait_one_more_passes(
    gatekeeper: Gatekeeper, tenant: uuid.UUID, principal: uuid.UUID
) -> None:
    limits = (user_limit(tenant, principal, 3, 500),)
    answers = [await gatekeeper.admit(tenant, principal, limits, False) for _ in range(10)]
    refused = next(answer for answer in answers if not answer.allowed)
    assert refused.refused_by == "user"
    assert refused.limit == 3
    assert refused.remaining == 0
    assert refused.retry_after == 1
    await asyncio.sleep(refused.retry_after)
    assert (await gatekeeper.admit(tenant, principal, limits, False)).allowed


async def test_a_write_in_flight_sends_its_callers_reads_to_the_primary(
    gatekeeper: Gatekeeper, elsewhere: Gatekeeper, redis: Redis, tenant: uuid.UUID, principal: uuid.UUID
) -> None:
    await let_epoch_age(redis)
    await gatekeeper.admit(tenant, principal, (), True)
    reading = await elsewhere.admit(tenant, principal, (), False)
    assert reading.pending == 1
    assert reading.needs_primary
    stranger = await elsewhere.admit(tenant, uuid.uuid4(), (), False)
    assert (stranger.needs_primary, stranger.position) == (False, None)
    other_tenant = await elsewhere.admit(uuid.uuid4(), principal, (), False)
    assert (other_tenant.needs_primary, other_tenant.position) == (False, None)


async def test_finished_writes_are_known_everywhere_by_the_highest_position(
    gatekeeper: Gatekeeper, elsewhere: Gatekeeper, redis: Redis, tenant: uuid.UUID, principal: uuid.UUID
) -> None:
    await let_epoch_age(redis)
    for gate in (gatekeeper, gatekeeper, gatekeeper, elsewhere):
        await gate.admit(tenant, principal, (), True)
    gatekeeper.remember_write(tenant, principal, 2**52 + 5)
    elsewhere.remember_write(tenant, principal, 9)
    gatekeeper.remember_write(tenant, principal, None)
    await gatekeeper.flush()
    await elsewhere.flush()
    reading = await elsewhere.admit(tenant, principal, (), False)
    assert (reading.pending, reading.position) == (1, 2**52 + 5)
    gatekeeper.remember_write(tenant, principal, None)
    await gatekeeper.flush()
    reading = await elsewhere.admit(tenant, principal, (), False)
    assert (reading.pending, reading.position, reading.needs_primary) == (0, 2**52 + 5, False)


async def test_a_remembered_write_arrives_without_being_waited_for(
    gatekeeper: Gatekeeper, elsewhere: Gatekeeper, tenant: uuid.UUID, principal: uuid.UUID
) -> None:
    await gatekeeper.admit(tenant, principal, (), True)
    gatekeeper.remember_write(tenant, principal, 7)
    deadline = time.monotonic() + 1
    while (await elsewhere.admit(tenant, principal, (), False)).position != 7:
        assert time.monotonic() < deadline
    assert (await elsewhere.admit(tenant, principal, (), False)).pending == 0


async def test_the_write_of_a_killed_process_is_forgotten(
    redis: Redis, tenant: uuid.UUID, principal: uuid.UUID
) -> None:
    """The caller goes on writing, so the memory of him never expires as a whole."""
    now = int(time.time() * 1000)
    on_our_clock = Script(ADMIT.source.replace("redis.call('TIME')", "{redis.call('GET', 'now') / 1000, 0}"))
    await redis.set("now", now)
    gate, killed = (Gatekeeper(redis, admit_script=on_our_clock) for _ in range(2))
    await killed.admit(tenant, principal, (), True)
    pending = []
    for _ in range(6):
        await gate.admit(tenant, principal, (), True)
        gate.remember_write(tenant, principal, 1)
        await gate.flush()
        pending.append((await gate.admit(tenant, principal, (), False)).pending)
        now += 20_000
        await redis.set("now", now)
    assert pending[0] == 1
    assert pending[-1] == 0
    await killed.close()
    await gate.close()


async def test_flushed_data_make_everyone_read_the_primary_for_a_minute(
    gatekeeper: Gatekeeper, redis: Redis, tenant: uuid.UUID, principal: uuid.UUID
) -> None:
    assert (await gatekeeper.admit(tenant, principal, (), False)).needs_primary
    await let_epoch_age(redis)
    assert not (await gatekeeper.admit(tenant, principal, (), False)).needs_primary
    await redis.flushall()
    assert (await gatekeeper.admit(tenant, principal, (), False)).needs_primary


async def test_credentials_change_with_a_bump_and_with_lost_data(
    gatekeeper: Gatekeeper, elsewhere: Gatekeeper, redis: Redis, tenant: uuid.UUID, principal: uuid.UUID
) -> None:
    async def seen() -> str | None:
        return (await gatekeeper.admit(tenant, principal, (), False)).credentials

    first = await seen()
    assert first is not None
    assert await seen() == first
    assert await elsewhere.bump_credentials(uuid.uuid4())
    assert await seen() == first
    assert await elsewhere.bump_credentials(tenant)
    second = await seen()
    await redis.flushall()
    third = await seen()
    assert await elsewhere.bump_credentials(tenant)
    assert len({first, second, third, await seen()}) == 4


async def test_unknown_callers_are_limited_by_address(gatekeeper: Gatekeeper) -> None:
    limit = address_limit("2001:db8::1", 2)
    neighbour = address_limit("2001:db8::ffff", 2)
    assert [(await gatekeeper.admit_address(one)).allowed for one in (limit, neighbour, limit)] == [
        True,
        True,
        False,
    ]
    assert (await gatekeeper.admit_address(limit)).refused_by == "address"
    assert (await gatekeeper.admit_address(address_limit("203.0.113.1", 2))).allowed


async def test_five_wrong_credentials_block_the_address_and_the_prefix(gatekeeper: Gatekeeper) -> None:
    for _ in range(5):
        assert await gatekeeper.guessing_blocked("203.0.113.1", "k1") is None
        assert await gatekeeper.note_failure("203.0.113.1", "k1") is None
    wait = await gatekeeper.guessing_blocked("203.0.113.1", "k1")
    assert wait is not None
    assert 0 < wait <= 120
    assert await gatekeeper.note_failure("203.0.113.1") is not None
    assert await gatekeeper.guessing_blocked("203.0.113.1", "k2") is not None
    assert await gatekeeper.guessing_blocked("203.0.113.2", "k1") is not None
    assert await gatekeeper.guessing_blocked("203.0.113.2", "k2") is None


async def test_looking_at_guesses_is_one_round_trip(gatekeeper: Gatekeeper) -> None:
    await gatekeeper.guessing_blocked("203.0.113.1", "k1")
    round_trips.set(counter := RoundTrips())
    await gatekeeper.guessing_blocked("203.0.113.1", "k1")
    await gatekeeper.note_failure("203.0.113.1", "k1")
    round_trips.set(None)
    assert counter.redis == 2
