"""Events, sagas and two-phase commit, beside the transactions and messages they cannot do without."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb
from redis.asyncio import Redis

from db.identifiers import new_id
from db.pool import Pool, flush
from db.statement import Bound
from db.two_phase import MAIN, prepare_statement
from erp.fulfilment.recording import State
from erp.fulfilment.repository import ADD_RUN, ADD_STEPS
from erp.projections.definition import Consumer, Delivered
from loadtests.agreement.bench import Bench
from loadtests.agreement.figures import Figure, p99_within, timed, times_bare
from loadtests.figures import Latency, latency
from tenancy.trail import Event
from tenancy.work import UnitOfWork
from workers.bus import Member
from workers.delivery import Delivery
from workers.relay import STREAM
from workers.sagas.definition import Facts, Intention, Local, Outcome, Outside, Saga
from workers.sagas.runner import SagaRunner
from workers.settings import WorkerSettings

_EVENTS, _EVERY = 150, 0.03
_SAGAS, _STEPS = 60, 4
_TWO_PHASE = 150
_BARE_STREAM, _GROUP, _MEASURED = "bench:stream", "bench", "bench.measured"


async def event_to_consumer(bench: Bench) -> list[Figure]:
    """From the call that commits an event, by way of outbox and relay, until a member of a consumer's group has it in
    hand: the product's own, reading as every coordinator's do. What it would then write is not counted."""
    begun: dict[UUID, float] = {}
    seconds: list[float] = []
    settings = WorkerSettings()
    taken = Consumer(_GROUP, frozenset({_MEASURED}), lambda work, generation, events: None)
    member = Member(bench.redis, taken, {MAIN: _Noted(bench, settings, begun, seconds)}, settings, name="bench")
    await bench.redis.xgroup_create(STREAM, _GROUP, id="$", mkstream=True)

    async def consume() -> None:
        while len(seconds) < _EVENTS:
            await member.step()

    try:
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(consume())
            for _ in range(_EVENTS):
                aggregate = new_id()
                begun[aggregate] = time.perf_counter()
                await _publish(bench, aggregate)
                await asyncio.sleep(_EVERY)
    finally:
        await bench.redis.xgroup_destroy(STREAM, _GROUP)
    return [p99_within("event commit to group member", latency(seconds), await _streamed(bench.redis), 250)]


class _Noted(Delivery):
    """Notes when events were handed over, and does nothing with them."""

    def __init__(
        self, bench: Bench, settings: WorkerSettings, begun: dict[UUID, float], seconds: list[float]
    ) -> None:
        super().__init__(MAIN, bench.runtime.platforms.all[MAIN], bench.runtime.database, settings)
        self._begun, self._seconds = begun, seconds

    async def hand_over(self, consumer: Consumer, events: Sequence[Delivered], *, failed: bool = False) -> None:
        for event in events:
            if (at := self._begun.pop(event.aggregate_id, None)) is not None:
                self._seconds.append(time.perf_counter() - at)


async def _publish(bench: Bench, aggregate: UUID) -> None:
    async def command(work: UnitOfWork) -> None:
        work.publish(Event("bench", aggregate, 1, _MEASURED, {}))

    await bench.runtime.database.run(bench.caller, command)


async def _streamed(redis: Redis) -> Latency:
    """The bare limit: added to a stream and read from it by the member of a group."""
    await redis.xgroup_create(_BARE_STREAM, _GROUP, id="$", mkstream=True)

    async def there_and_back(number: int) -> None:
        await redis.xadd(_BARE_STREAM, {"n": number}, maxlen=100)
        found: Any = await redis.xreadgroup(_GROUP, "bench", {_BARE_STREAM: ">"}, count=100, block=1_000)
        assert found

    found = await timed(there_and_back, _EVENTS)
    await redis.delete(_BARE_STREAM)
    return found


# -- sagas


async def _nothing(work: UnitOfWork, state: State) -> Facts:
    return {}


async def _nothing_undone(work: UnitOfWork, state: State, facts: Facts) -> Facts:
    return {}


async def _asked_for(work: UnitOfWork, state: State) -> Intention:
    return Intention({}, {})


async def _answered_at_once(key: str, request: Facts) -> Outcome:
    return Outcome(True, {})


async def _never_heard_of(key: str) -> Outcome | None:
    return None


async def saga(bench: Bench) -> list[Figure]:
    """Steps that do nothing, so that all of it is overhead; beside as many transactions that do nothing.

    Local steps are one transaction each. An outside one is two, its intention and its answer; here whoever is asked
    answers at once, so that only what we do about it is measured.
    """
    local = [Local(f"step-{n}", _nothing, _nothing_undone) for n in range(1, _STEPS + 1)]
    outside = Outside("outside", _asked_for, _answered_at_once, _never_heard_of)
    return [
        await _saga(bench, "saga of four local steps", Saga("bench", tuple(local))),
        await _saga(bench, "saga of three local steps and one outside", Saga("bench", (*local[1:], outside))),
    ]


async def _saga(bench: Bench, name: str, kind: Saga) -> Figure:
    database = bench.runtime.database

    async def transact(command: Any) -> Any:
        return (await database.run(bench.caller, command)).value

    runner = SagaRunner(transact, {kind.kind: kind})
    waiting = [await transact(lambda work: _begin(work, kind)) for _ in range(_SAGAS + 5)]

    async def ours(number: int) -> None:
        assert await runner.run(waiting[number]) == "completed"

    async def bare(number: int) -> None:
        for _ in range(_STEPS):
            await transact(_written)

    whole, plain = await timed(ours, _SAGAS, 5), await timed(bare, _SAGAS, 5)
    step = (whole.p50 - plain.p50) / _STEPS
    return Figure(name, whole, plain, f"{step:.1f} ms a step", "<= 15 ms a step", step <= 15)


async def _begin(work: UnitOfWork, kind: Saga) -> UUID:
    saga_id = new_id()
    numbers = range(1, len(kind.steps) + 1)
    work.save(
        ADD_RUN(
            id=saga_id, kind=kind.kind, subject_type="bench", subject_id=saga_id, input=Jsonb({}), job_id=new_id(),
            correlation_id=work.caller.correlation_id, created_at=work.now,
        ),
        ADD_STEPS(
            saga_id=saga_id, ns=list(numbers), names=[step.name for step in kind.steps],
            keys=[f"saga:{saga_id}:{n}" for n in numbers], undo_keys=[f"saga:{saga_id}:{n}:undo" for n in numbers],
        ),
    )  # fmt: skip
    return saga_id


async def _written(work: UnitOfWork) -> None:
    """One event and its place in the outbox: the least a step leaves behind."""
    work.publish(Event("bench", new_id(), 1, _MEASURED, {}))


# -- two-phase commit

_BEGIN: Bound[Any] = Bound("BEGIN", {})
_WORK: Bound[Any] = Bound("SELECT pg_current_xact_id()", {})


async def two_phase(bench: Bench) -> list[Figure]:
    """Two databases, a decision in the log; beside preparing and committing the two without any log."""
    service = bench.runtime.two_phase
    places = (MAIN, "second")

    async def ours(number: int) -> None:
        transaction = service.begin()
        for place in places:
            gid = transaction.branch(place)
            await _run(service.pool(place), [_BEGIN, _WORK, prepare_statement(gid)])
            transaction.prepared(gid)
        await transaction.commit()

    async def bare(number: int) -> None:
        for step in ("PREPARE TRANSACTION", "COMMIT PREPARED"):
            for place in places:
                statement: Bound[Any] = Bound(f"{step} 'bench-{number}-{place}'", {})
                before = [_BEGIN, _WORK] if step.startswith("PREPARE") else []
                await _run(service.pool(place), [*before, statement])

    return [times_bare("two-phase commit", await timed(ours, _TWO_PHASE, 10), await timed(bare, _TWO_PHASE, 10))]


async def _run(pool: Pool, statements: list[Bound[Any]]) -> None:
    async with pool.connection() as connection:
        await flush(connection, statements)
