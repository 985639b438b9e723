"""Rules of jobs that need no server."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from db.errors import Contention, DomainError
from erp.jobs.service import STEPS, check_step
from erp.kernel.errors import InvalidState
from workers.actors import KINDS
from workers.broker import QUEUES, Bundle, actor_name, job_message, jobs_in
from workers.context import GiveUp
from workers.dispatch import bundled
from workers.event_repository import EventRow
from workers.feed_repository import Fed
from workers.kinds import JobKind, by_name
from workers.loops import Loop
from workers.relay import entry
from workers.runner import failure_of, full_jitter
from workers.settings import WorkerSettings, load_worker_settings
from workers.subscriptions import SUBSCRIPTIONS
from workers.window import Window


def test_backoff_grows_and_is_spread_over_all_of_its_range() -> None:
    for attempt, longest in ((1, 2.0), (2, 4.0), (3, 8.0), (9, 60.0), (64, 60.0)):
        waits = [full_jitter(attempt, 2.0, 60.0) for _ in range(500)]
        assert 0 <= min(waits) < longest * 0.1
        assert longest * 0.9 < max(waits) <= longest


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "code", "detail", "final"),
    [
        (Contention("Too many at once."), "contention", "Too many at once.", False),
        (GiveUp("not-found", "It is gone."), "not-found", "It is gone.", True),
        (TimeoutError("longer than 60 s"), "job-timeout", "longer than 60 s", False),
        (RuntimeError("password=hunter2 at db-7"), "internal-error", "RuntimeError", False),
    ],
)
def test_a_failure_tells_the_tenant_what_it_may_know(error: Exception, code: str, detail: str, final: bool) -> None:
    failure = failure_of(raised(error))
    assert (failure.code, failure.detail, failure.final) == (code, detail, final)
    assert type(error).__name__ in failure.trace
    assert "hunter2" not in failure.trace


@pytest.mark.parametrize("step", sorted(STEPS))
@pytest.mark.parametrize("state", ["queued", "running", "done", "failed", "discarded", "cancelled"])
def test_steps_start_from_their_states_only(step: str, state: str) -> None:
    allowed = {
        ("replay", "failed"), ("replay", "discarded"), ("replay", "cancelled"), ("discard", "failed"),
        ("discard", "queued"),
    }  # fmt: skip
    if (step, state) in allowed:
        check_step(step, state)
    else:
        with pytest.raises(InvalidState):
            check_step(step, state)


def test_a_message_carries_ids_and_nothing_else() -> None:
    tenant, jobs = uuid4(), [uuid4(), uuid4()]
    message = job_message(Bundle("high", tenant, jobs))
    assert (message.queue_name, message.actor_name) == ("high", actor_name("high"))
    assert (message.args, message.kwargs) == ((str(tenant), [str(job) for job in jobs]), {})
    assert set(message.options) == {"redis_message_id"}
    assert jobs_in(message.options["redis_message_id"].encode()) == 2
    assert jobs_in(str(uuid4()).encode()) == 1  # whoever sent it did not say


def test_jobs_of_a_tenant_share_messages_and_long_ones_go_alone() -> None:
    one, other = uuid4(), uuid4()
    fed = [
        *(Fed("low", tenant, uuid4(), False) for tenant in (one, other, one, one)),
        Fed("low", one, uuid4(), True),
        Fed("low", one, None, False),  # where the next turn begins: no job
        *(Fed(queue, one, uuid4(), False) for queue in ("low", "high", "low", "high")),
    ]
    sent = bundled(fed, {"low": 3, "high": 1})
    numbers = {job.id: number for number, job in enumerate(fed) if job.id is not None}
    assert [(bundle.queue, bundle.tenant_id, [numbers[id_] for id_ in bundle.ids]) for bundle in sent] == [
        ("low", one, [0, 2, 3]), ("low", other, [1]), ("low", one, [4]), ("low", one, [6, 8]),
        ("high", one, [7]), ("high", one, [9]),
    ]  # fmt: skip


def test_only_jobs_that_are_taken_fast_share_a_message() -> None:
    """Ten a second may each take a while: side by side they would be more than a worker's threads."""
    for pace, together in ((10, 1), (60, 1), (130, 4), (2_000, 8)):
        window = Window(500, bundle=8)
        for tenth in range(11):
            window.room(1, pace * tenth // 10, tenth / 10)
        assert window.together == together


def test_subscribed_kinds_exist_and_go_to_queues_that_exist() -> None:
    for subscriptions in SUBSCRIPTIONS.values():
        assert {one.kind for one in subscriptions} <= set(KINDS)
        assert {one.queue for one in subscriptions} <= set(QUEUES)


def test_two_kinds_of_one_name_are_refused() -> None:
    async def nothing(context: object) -> None:
        return None

    with pytest.raises(ValueError, match="two kinds"):
        by_name([JobKind("same", nothing), JobKind("same", nothing)])


def test_a_lease_outlasts_two_missed_heartbeats_and_leaves_time_to_take_over() -> None:
    """The promise: a killed worker's job runs again within 30 s."""
    settings = WorkerSettings()
    assert settings.job_lease >= 3 * settings.job_heartbeat
    assert settings.job_lease + settings.sweep_poll + settings.dispatch_poll + settings.queue_poll_ms / 1000 < 25
    assert settings.queue_heartbeat_ms < 20_000
    assert settings.lease_ttl >= 3 * settings.lease_renewal


def test_settings_come_from_the_environment() -> None:
    found = load_worker_settings({"ERP_WORKER_JOB_LEASE": "7.5", "ERP_WORKER_QUEUE_WINDOW": "9", "OTHER": "1"})
    assert (found.job_lease, found.queue_window, found.job_backoff) == (7.5, 9, 2.0)
    with pytest.raises(ValueError, match="ten"):
        load_worker_settings({"ERP_WORKER_QUEUE_WINDOW": "ten"})


def test_an_event_in_the_stream_is_flat_text() -> None:
    from_row = entry(
        EventRow(
            UUID(int=1), 7, UUID(int=2), "order", UUID(int=3), 4, "order.confirmed", {"a": [1, "x"]},
            None, None, None, datetime(2026, 1, 2, tzinfo=UTC),
        )
    )  # fmt: skip
    assert set(map(type, from_row.values())) == {str}
    assert (from_row["version"], from_row["data"], from_row["correlation_id"]) == ("4", '{"a":[1,"x"]}', "")


async def test_a_loop_outlives_failures_and_defects() -> None:
    passes: list[int] = []
    ending = asyncio.Event()

    async def step() -> bool:
        passes.append(1)
        if len(passes) == 1:
            raise ConnectionError("away")
        if len(passes) == 2:
            raise ZeroDivisionError
        if len(passes) == 3:
            raise DomainError
        if len(passes) == 6:
            ending.set()
            loop.wake.set()
        return len(passes) < 6

    loop = Loop("probe", step, 60.0)
    await asyncio.wait_for(loop.run(ending), 20)
    assert len(passes) == 6


async def test_a_loop_rests_until_its_time_or_until_it_is_woken() -> None:
    passes: list[int] = []
    ending = asyncio.Event()

    async def step() -> bool:
        passes.append(1)
        return False

    loop = Loop("probe", step, 60.0)
    running = asyncio.create_task(loop.run(ending))
    for expected in (1, 2, 3):
        async with asyncio.timeout(5):
            while len(passes) < expected:  # noqa: ASYNC110  # the loop's own doing
                await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(passes) == expected
        loop.wake.set()
    ending.set()
    loop.wake.set()
    await running


async def test_a_loop_rests_longer_and_longer_until_there_is_work_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """50 ms after work, so that work gathers; then 50, 100, 200 ms and no longer while there is none."""
    rests, found = recorded_rests(monkeypatch), iter([True, True, False, False, False, False, True, False])
    ending = asyncio.Event()

    async def step() -> bool:
        again = next(found)
        if len(rests) == 7:
            ending.set()
        return again

    await asyncio.wait_for(Loop("probe", step, 0.2, busy=0.05).run(ending), 5)
    assert rests == [0.05, 0.05, 0.05, 0.1, 0.2, 0.2, 0.05, 0.05]


async def test_a_loop_without_a_pace_goes_on_at_once_or_rests_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rests, found = recorded_rests(monkeypatch), iter([True, True, False, True, False])
    ending = asyncio.Event()

    async def step() -> bool:
        again = next(found)
        if len(rests) == 1:
            ending.set()
        return again

    await asyncio.wait_for(Loop("probe", step, 0.2).run(ending), 5)
    assert rests == [0.2]


def recorded_rests(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses loops ask for from now on; they end at once."""
    rests: list[float] = []
    timeout = asyncio.timeout

    def short(seconds: float) -> asyncio.Timeout:
        rests.append(seconds)
        return timeout(0)

    monkeypatch.setattr("workers.loops.asyncio.timeout", short)
    return rests
