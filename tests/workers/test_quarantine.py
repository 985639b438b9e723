"""What was lost with its worker begins alone: whatever kills its process takes nobody along a second time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.workers.conftest import Tables
from tests.workers.test_bundles import Bench
from tests.workers.test_bundles import bench as bench
from workers.context import JobContext
from workers.quarantine import Quarantine
from workers.runner import Runner

LOST = "UPDATE jobs SET attempts = 1, error_code = %(code)s WHERE id = ANY(%(ids)s)"


async def entered(quarantine: Quarantine) -> "asyncio.Task[None]":
    task = asyncio.create_task(quarantine.enter(1))
    for _ in range(3):
        await asyncio.sleep(0)
    return task


async def test_a_suspect_waits_for_the_others_and_they_for_it() -> None:
    quarantine = Quarantine(patience=5)
    await quarantine.enter(2)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def suspect() -> None:
        async with quarantine.alone():
            begun.set()
            await go_on.wait()

    running = asyncio.create_task(suspect())
    late = await entered(quarantine)
    assert quarantine.taken
    assert not begun.is_set()
    quarantine.leave()  # the other one
    await asyncio.wait_for(begun.wait(), 1)
    assert not late.done()
    go_on.set()
    await running
    await asyncio.wait_for(late, 1)
    assert not quarantine.taken


async def test_nobody_waits_longer_than_its_patience() -> None:
    quarantine = Quarantine(patience=0.05)
    await quarantine.enter(2)  # the suspect, and one that does not end
    async with asyncio.timeout(2), quarantine.alone():
        await (await entered(quarantine))
        assert not quarantine.taken


async def test_one_whose_time_is_over_does_not_open_the_door_of_the_next() -> None:
    quarantine = Quarantine(patience=0.01)
    await quarantine.enter(1)
    async with quarantine.alone():
        async with asyncio.timeout(2):
            await (await entered(quarantine))
        quarantine.leave()
        quarantine._patience = 5
        next_one = quarantine.alone()
        await next_one.__aenter__()
    assert quarantine.taken
    await next_one.__aexit__(None, None, None)
    assert not quarantine.taken


class Census:
    """A kind whose jobs take a moment and see who else is running."""

    def __init__(self, suspects: list[Any]) -> None:
        self.suspects = suspects
        self._running: set[Any] = set()
        self.met: dict[Any, set[Any]] = {}

    async def run(self, context: JobContext) -> None:
        me = context.job.id
        self._running.add(me)
        for one in self._running:
            self.met.setdefault(one, set()).update(self._running - {one})
        await asyncio.sleep(0.02)
        self._running.discard(me)

    @property
    def company(self) -> set[Any]:
        """Whom those that were lost met while they ran."""
        return {other for one in self.suspects for other in self.met.get(one, set())}


async def _run_all(bench: Bench, tables: Tables, code: str | None) -> Census:
    """Three that were lost among five that were not, in the same messages, until all are done."""
    jobs = await bench.jobs(8)
    census = Census(jobs[2:5])
    tables.rows(LOST, ids=census.suspects, code=code)
    runner: Runner = bench.another(census.run)
    async with asyncio.timeout(20):
        while left := [row["id"] for row in tables.rows("SELECT id FROM jobs WHERE state = 'queued' ORDER BY id")]:
            tables.rows("UPDATE jobs SET run_at = clock_timestamp(), enqueued_at = clock_timestamp()")
            await runner.run(bench.caller.tenant.id, *left)
    assert {row["state"] for row in tables.rows("SELECT state FROM jobs")} == {"done"}
    assert [tables.job(job)["attempts"] for job in jobs] == [1, 1, 2, 2, 2, 1, 1, 1]
    return census


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("code", ["worker-lost", None])  # rescued, or taken over with its message
async def test_those_that_were_lost_meet_nobody(bench: Bench, tables: Tables, code: str | None) -> None:
    census = await _run_all(bench, tables, code)
    assert census.company == set()
    assert set(census.met) - set(census.suspects), "the others ran side by side"


@pytest.mark.usefixtures("clean")
async def test_what_failed_by_itself_is_no_suspect(bench: Bench, tables: Tables) -> None:
    assert (await _run_all(bench, tables, "internal-error")).company != set()


@pytest.mark.usefixtures("clean")
async def test_without_the_quarantine_they_would_take_others_along(
    bench: Bench, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def in_company(self: Quarantine) -> AsyncIterator[None]:
        yield

    monkeypatch.setattr(Quarantine, "alone", in_company)
    assert (await _run_all(bench, tables, "worker-lost")).company != set()
