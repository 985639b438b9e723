"""Events, sagas and two-phase commit, beside the transactions and messages they cannot do without."""

import asyncio
import time
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
from loadtests.agreement.bench import Bench
from loadtests.agreement.figures import Figure, p99_within, timed, times_bare
from loadtests.figures import Latency, latency
from tenancy.trail import Event
from tenancy.work import UnitOfWork
from workers.relay import STREAM
from workers.sagas.definition import Facts, Local, Saga
from workers.sagas.runner import SagaRunner

_EVENTS, _EVERY = 150, 0.03
_SAGAS, _STEPS = 60, 4
_TWO_PHASE = 150
_BARE_STREAM = "bench:stream"


async def event_to_consumer(bench: Bench) -> list[Figure]:
    """From the call that commits an event until a consumer of the stream has it, by way of outbox and relay."""
    reader = bench.redis
    last = await _end_of(reader, STREAM)
    begun: dict[str, float] = {}
    seconds: list[float] = []

    async def consume() -> None:
        nonlocal last
        while len(seconds) < _EVENTS:
            found: Any = await reader.xread({STREAM: last}, count=100, block=4_000)
            for position, entry in [one for _, entries in found or [] for one in entries]:
                last = position
                if (at := begun.pop(entry[b"aggregate_id"].decode(), None)) is not None:
                    seconds.append(time.perf_counter() - at)

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(consume())
        for _ in range(_EVENTS):
            aggregate = new_id()
            begun[str(aggregate)] = time.perf_counter()
            await _publish(bench, aggregate)
            await asyncio.sleep(_EVERY)
    return [p99_within("event commit to consumer", latency(seconds), await _streamed(reader), 250)]


async def _publish(bench: Bench, aggregate: UUID) -> None:
    async def command(work: UnitOfWork) -> None:
        work.publish(Event("bench", aggregate, 1, "bench.measured", {}))

    await bench.runtime.database.run(bench.caller, command)


async def _end_of(redis: Redis, stream: str) -> Any:
    newest = await redis.xrevrange(stream, count=1)
    return newest[0][0] if newest else "0"


async def _streamed(redis: Redis) -> Latency:
    """The bare limit: added to a stream and read from it."""

    async def there_and_back(number: int) -> None:
        added: Any = await redis.xadd(_BARE_STREAM, {"n": number}, maxlen=100)
        before = f"{int(added.decode().partition('-')[0]) - 1}-0"
        await redis.xread({_BARE_STREAM: before}, count=100, block=1_000)

    found = await timed(there_and_back, _EVENTS)
    await redis.delete(_BARE_STREAM)
    return found


# -- sagas


async def _nothing(work: UnitOfWork, state: State) -> Facts:
    return {}


async def _nothing_undone(work: UnitOfWork, state: State, facts: Facts) -> Facts:
    return {}


async def saga(bench: Bench) -> list[Figure]:
    """Four steps that do nothing, so that all of it is overhead; beside as many transactions that do nothing."""
    steps = tuple(Local(f"step-{n}", _nothing, _nothing_undone) for n in range(1, _STEPS + 1))
    kind = Saga("bench", steps)
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
    return [Figure("saga of four steps", whole, plain, f"{step:.1f} ms a step", "<= 15 ms a step", step <= 15)]


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
    work.publish(Event("bench", new_id(), 1, "bench.measured", {}))


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
