"""Liveness, readiness and the report: bounded, shared, without secrets."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from fleet.checks import disk_check, free_memory_share, memory_check, queue_check
from fleet.deadline import Deadline, remaining
from fleet.health import Health, Identity, Liveness, Outcome, Readiness
from fleet.instruments import REGISTRY

HERE = Identity("api-1", "api", "0.1.0", "eu-west", "a")


def health(**bounds: float) -> Health:
    return Health(HERE, **bounds)


async def fine() -> None:
    return


async def limping() -> Outcome:
    return Outcome("degraded", "half speed", {"lag": 3})


async def broken() -> Outcome:
    raise ConnectionError("connection to server at 10.0.0.5 failed: password=hunter2")


async def hanging() -> None:
    await asyncio.Event().wait()


async def test_all_well_is_healthy() -> None:
    checks = health()
    checks.add("primary", fine)
    report = (await checks.report()).as_dict()
    assert report["status"] == "healthy"
    assert report["instance"] == "api-1"
    assert (report["role"], report["version"], report["region"], report["zone"]) == ("api", "0.1.0", "eu-west", "a")
    assert report["uptime_seconds"] >= 0
    assert report["checks"]["primary"]["status"] == "healthy"
    assert report["checks"]["primary"]["response_time_ms"] >= 0
    json.dumps(report)


async def test_a_report_others_read_too_does_not_hurry_with_who_asked_first() -> None:
    async def unhurried() -> None:
        assert remaining() is None

    checks = health()
    checks.add("primary", unhurried)
    with Deadline(0.1):
        assert (await checks.report()).as_dict()["status"] == "healthy"


async def test_a_degraded_check_degrades_the_whole() -> None:
    checks = health()
    checks.add("primary", fine)
    checks.add("replicas", limping)
    report = await checks.report()
    assert report.status == "degraded"
    assert report.checks["replicas"].facts == {"lag": 3}
    assert REGISTRY.get_sample_value("health_check_status", {"check": "replicas"}) == 0.5


async def test_a_critical_failure_is_unhealthy_and_a_helper_s_failure_is_not() -> None:
    checks = health()
    checks.add("cache", broken, critical=False)
    assert (await checks.report()).status == "degraded"
    checks = health()
    checks.add("primary", broken)
    assert (await checks.report()).status == "unhealthy"


async def test_the_answer_names_the_error_and_no_secret_or_host() -> None:
    async def told() -> Outcome:
        return Outcome("degraded", "postgresql://u:hunter2@db is slow", {"dsn": "x", "token": "y", "depth": 4})

    checks = health()
    checks.add("primary", broken)
    checks.add("other", told)
    text = json.dumps((await checks.report()).as_dict())
    assert "ConnectionError" in text
    assert not any(secret in text for secret in ("hunter2", "10.0.0.5", '"x"', '"y"'))


async def test_a_hanging_check_costs_its_budget_once_and_is_not_started_twice() -> None:
    begun = 0

    async def stubborn() -> None:
        nonlocal begun
        begun += 1
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if release.is_set():
                    raise

    release = asyncio.Event()
    checks = health(budget=0.05, keep=0.0)
    checks.add("slow", hanging)
    checks.add("stubborn", stubborn)
    started = time.monotonic()
    report = await checks.report()
    assert time.monotonic() - started < 1
    assert report.checks["slow"].detail == "no answer within 0.05 s"
    assert (await checks.report()).checks["stubborn"].detail == "an earlier check has not ended yet"
    assert begun == 1
    release.set()
    for task in list(checks._stuck.values()):
        task.cancel()
        await asyncio.wait([task])


async def test_checks_run_side_by_side() -> None:
    both = asyncio.Barrier(2)

    async def meets() -> None:
        await both.wait()

    checks = health()
    checks.add("a", meets)
    checks.add("b", meets)
    assert (await checks.report()).status == "healthy"


async def test_many_callers_share_one_run_and_its_report_for_a_second() -> None:
    runs = 0

    async def counted() -> None:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0)

    checks = health(keep=60)
    checks.add("counted", counted)
    first = await asyncio.gather(*(checks.report() for _ in range(50)))
    assert runs == 1
    assert await checks.report() is first[0]


async def test_a_caller_that_leaves_does_not_end_the_run_for_others() -> None:
    gate = asyncio.Event()

    async def waits() -> None:
        await gate.wait()

    checks = health()
    checks.add("gate", waits)
    impatient = asyncio.create_task(checks.report())
    patient = asyncio.create_task(checks.report())
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.wait([impatient])
    gate.set()
    assert (await patient).status == "healthy"


def test_readiness_is_about_this_process_only() -> None:
    readiness = Readiness()
    assert readiness.reasons() == ["starting"]
    readiness.start()
    assert readiness.ready()
    wedged = [False]
    readiness.require("pool", lambda: not wedged[0])
    wedged[0] = True
    assert readiness.reasons() == ["pool"]
    wedged[0] = False
    readiness.drain()
    assert readiness.draining
    assert readiness.reasons() == ["draining"]


async def test_liveness_follows_the_event_loop() -> None:
    liveness = Liveness(interval=0.01, patience=0.1)
    liveness.start()
    time.sleep(0.15)  # noqa: ASYNC251  # the hanging loop is what is tested
    assert not liveness.alive()
    await asyncio.sleep(0.05)  # two beats at least: the loop turns again
    assert liveness.alive()
    liveness.stop()


async def test_queues_disk_and_memory_are_judged() -> None:
    async def depths() -> dict[str, int]:
        return {"high": 3, "low": 50}

    assert (await _outcome(queue_check(depths, degraded_above=10))).detail == "low"
    assert (await _outcome(disk_check(Path("/"), degraded_below=0.0, unhealthy_below=0.0))).status == "healthy"
    assert (await _outcome(disk_check(Path("/"), degraded_below=1.1, unhealthy_below=1.1))).status == "unhealthy"
    assert 0 <= (await _outcome(memory_check())).facts["free_share"] <= 1


@pytest.mark.parametrize(
    ("limit", "used", "inactive", "share"), [("1000", "900", "400", 0.5), ("1000", "1000", "0", 0.0)]
)
def test_a_container_s_own_limit_counts(tmp_path: Path, limit: str, used: str, inactive: str, share: float) -> None:
    (tmp_path / "memory.max").write_text(limit)
    (tmp_path / "memory.current").write_text(used)
    (tmp_path / "memory.stat").write_text(f"anon 1\ninactive_file {inactive}\n")
    assert free_memory_share(tmp_path) == share


def test_without_a_limit_the_machine_s_memory_counts(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("max\n")
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 2000 kB\nMemFree: 1 kB\nMemAvailable: 500 kB\n")
    assert free_memory_share(tmp_path, meminfo) == 0.25
    assert free_memory_share(tmp_path, tmp_path / "absent") == 1.0


async def _outcome(check: object) -> Outcome:
    assert callable(check)
    found = await check()
    assert isinstance(found, Outcome)
    return found
