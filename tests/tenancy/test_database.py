"""Transactions of one tenant: idempotency, retries, refusals, budgets."""

import asyncio
import uuid
from typing import Any

import pytest

from db.counting import RoundTrips, round_trips
from db.errors import ConstraintRefused, DomainError, LockTimeout
from db.statement import Bound
from tenancy.caller import Caller
from tenancy.database import Answer, Idempotency, TenantDatabase
from tenancy.errors import IdempotencyInFlight, IdempotencyKeyReused
from tenancy.trail import Event
from tenancy.work import UnitOfWork
from tests.tenancy.conftest import Newcomer

pytestmark = pytest.mark.usefixtures("counters")


def insert(counter_id: uuid.UUID, value: int = 0) -> Bound[Any]:
    return Bound(
        "INSERT INTO test_counters VALUES (%(tenant_id)s, %(id)s, %(value)s)",
        {"id": counter_id, "value": value}, None, True,
    )  # fmt: skip


def lock(counter_id: uuid.UUID) -> Bound[Any]:
    return Bound(
        "SELECT value FROM test_counters WHERE tenant_id = %(tenant_id)s AND id = %(id)s FOR UPDATE",
        {"id": counter_id}, None, True,
    )  # fmt: skip


def put(counter_id: uuid.UUID, value: int) -> Bound[Any]:
    return Bound(
        "UPDATE test_counters SET value = %(value)s WHERE tenant_id = %(tenant_id)s AND id = %(id)s",
        {"id": counter_id, "value": value}, None, True,
    )  # fmt: skip


async def value_of(database: TenantDatabase, caller: Caller, counter_id: uuid.UUID) -> int | None:
    async def look(work: UnitOfWork) -> int | None:
        [rows] = await work.load(lock(counter_id))
        return rows[0][0] if rows else None

    return (await database.run(caller, look)).value


def increment(counter_id: uuid.UUID) -> Any:
    async def command(work: UnitOfWork) -> int:
        [[(value,)]] = await work.load(lock(counter_id))
        work.save(put(counter_id, value + 1))
        return int(value + 1)

    return command


def encode(value: int) -> Answer:
    return Answer(200, str(value).encode())


def encode_error(error: DomainError) -> Answer:
    return Answer(error.status, error.code.encode())


async def test_fifty_equal_requests_have_one_effect_and_one_answer(
    database: TenantDatabase, newcomer: Newcomer
) -> None:
    caller, counter = await newcomer(), uuid.uuid4()

    async def setup(work: UnitOfWork) -> None:
        work.save(insert(counter))

    await database.run(caller, setup)
    key = Idempotency("one-and-the-same-key", b"f" * 32)

    async def request() -> Answer | DomainError:
        try:
            return await database.answer(caller, increment(counter), encode, key)
        except DomainError as refusal:
            return refusal

    outcomes = await asyncio.gather(*(request() for _ in range(50)))
    answers = [outcome for outcome in outcomes if isinstance(outcome, Answer)]
    refusals = [outcome for outcome in outcomes if isinstance(outcome, DomainError)]
    assert await value_of(database, caller, counter) == 1
    assert {answer.body for answer in answers} == {b"1"}
    assert sum(not answer.replayed for answer in answers) == 1
    assert {refusal.code for refusal in refusals} <= {"idempotency-in-flight", "overloaded"}


async def test_without_a_key_fifty_requests_have_fifty_effects(database: TenantDatabase, newcomer: Newcomer) -> None:
    """The planted bug of the test above: it must be able to see more than one effect."""
    caller, counter = await newcomer(), uuid.uuid4()

    async def setup(work: UnitOfWork) -> None:
        work.save(insert(counter))

    await database.run(caller, setup)
    await asyncio.gather(*(database.answer(caller, increment(counter), encode, None) for _ in range(50)))
    assert await value_of(database, caller, counter) == 50


async def test_a_key_with_another_request_is_refused(database: TenantDatabase, newcomer: Newcomer) -> None:
    caller, counter = await newcomer(), uuid.uuid4()

    async def create(work: UnitOfWork) -> int:
        work.save(insert(counter, 7))
        return 7

    await database.answer(caller, create, encode, Idempotency("a-key-of-sixteen", b"a" * 32))
    with pytest.raises(IdempotencyKeyReused):
        await database.answer(caller, create, encode, Idempotency("a-key-of-sixteen", b"b" * 32))


async def test_a_replay_of_a_command_that_writes_at_once_answers_as_before(
    database: TenantDatabase, newcomer: Newcomer
) -> None:
    """The second run collides with the rows of the first one before it sees the stored answer."""
    caller, counter = await newcomer(), uuid.uuid4()
    key = Idempotency("a-key-of-sixteen", b"a" * 32)

    async def create(work: UnitOfWork) -> int:
        work.save(insert(counter, 7))
        await work.load(lock(counter))
        return 7

    first = await database.answer(caller, create, encode, key)
    second = await database.answer(caller, create, encode, key)
    assert (first.replayed, second.replayed) == (False, True)
    assert first.body == second.body


async def test_two_tenants_use_the_same_key_independently(database: TenantDatabase, newcomer: Newcomer) -> None:
    key = Idempotency("a-key-of-sixteen", b"a" * 32)
    for _ in range(2):
        caller, counter = await newcomer(), uuid.uuid4()

        async def create(work: UnitOfWork, counter: uuid.UUID = counter) -> int:
            work.save(insert(counter, 1))
            return 1

        assert not (await database.answer(caller, create, encode, key)).replayed


async def test_a_business_refusal_is_kept_and_replayed(database: TenantDatabase, newcomer: Newcomer) -> None:
    caller, counter = await newcomer(), uuid.uuid4()
    key = Idempotency("a-key-of-sixteen", b"a" * 32)

    async def negative(work: UnitOfWork) -> int:
        work.save(insert(counter, -1))
        return -1

    first = await database.answer(caller, negative, encode, key, encode_error=encode_error)
    second = await database.answer(caller, negative, encode, key, encode_error=encode_error)
    assert (first.status, first.body, second.replayed) == (409, b"rule-violated", True)
    assert await value_of(database, caller, counter) is None


async def test_a_running_twin_is_reported_as_in_flight(database: TenantDatabase, newcomer: Newcomer) -> None:
    caller = await newcomer()
    key = Idempotency("a-key-of-sixteen", b"a" * 32)
    started, finish = asyncio.Event(), asyncio.Event()

    async def slow(work: UnitOfWork) -> int:
        await work.begin()
        started.set()
        await finish.wait()
        return 1

    running = asyncio.create_task(database.answer(caller, slow, encode, key))
    await started.wait()
    with pytest.raises(IdempotencyInFlight):
        await database.answer(caller, slow, encode, key)
    finish.set()
    assert (await running).status == 200


async def test_a_deadlock_runs_the_command_again(database: TenantDatabase, newcomer: Newcomer) -> None:
    caller, first, second = await newcomer(), uuid.uuid4(), uuid.uuid4()

    async def setup(work: UnitOfWork) -> None:
        work.save(insert(first), insert(second))

    await database.run(caller, setup)
    barrier = asyncio.Barrier(2)
    attempts = 0

    def crossing(one: uuid.UUID, other: uuid.UUID) -> Any:
        async def command(work: UnitOfWork) -> None:
            nonlocal attempts
            attempts += 1
            [[(value,)]] = await work.load(lock(one))
            if attempts <= 2:
                await barrier.wait()
            [[(_,)]] = await work.load(lock(other))
            work.save(put(one, value + 1))

        return command

    await asyncio.gather(database.run(caller, crossing(first, second)), database.run(caller, crossing(second, first)))
    assert attempts == 3
    assert await value_of(database, caller, first) == await value_of(database, caller, second) == 1


async def test_a_busy_row_is_a_bounded_refusal(database: TenantDatabase, newcomer: Newcomer) -> None:
    caller, counter = await newcomer(), uuid.uuid4()

    async def setup(work: UnitOfWork) -> None:
        work.save(insert(counter))

    await database.run(caller, setup)
    held, let_go = asyncio.Event(), asyncio.Event()

    async def hold(work: UnitOfWork) -> None:
        await work.load(lock(counter))
        held.set()
        await let_go.wait()

    holder = asyncio.create_task(database.run(caller, hold))
    await held.wait()
    with pytest.raises(LockTimeout):
        await database.run(caller, increment(counter))
    let_go.set()
    await holder


async def test_a_command_of_two_beats_takes_two_round_trips(database: TenantDatabase, newcomer: Newcomer) -> None:
    caller, counter = await newcomer(), uuid.uuid4()

    async def setup(work: UnitOfWork) -> None:
        work.save(insert(counter))

    await database.run(caller, setup)

    async def command(work: UnitOfWork) -> int:
        [[(value,)]] = await work.load(lock(counter))
        work.save(put(counter, value + 1))
        work.publish(Event("counter", counter, value + 1, "counter.raised"))
        work.audit("counter.raise", "counter", counter)
        return 1

    counts = RoundTrips()
    token = round_trips.set(counts)
    await database.answer(caller, command, encode, Idempotency("a-key-of-sixteen", b"a" * 32))
    round_trips.reset(token)
    assert counts.postgres == 2


async def test_a_refused_constraint_leaves_nothing_behind(database: TenantDatabase, newcomer: Newcomer) -> None:
    caller, good, bad = await newcomer(), uuid.uuid4(), uuid.uuid4()

    async def command(work: UnitOfWork) -> None:
        work.save(insert(good, 1), insert(bad, -1))

    with pytest.raises(ConstraintRefused) as refusal:
        await database.run(caller, command)
    assert refusal.value.facts["constraint"] == "test_counters_positive"
    assert await value_of(database, caller, good) is None
