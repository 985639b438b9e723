"""What runs by the clock: a fixed list of tasks, each once a slot across the fleet, whoever believes to lead.

The slot's row and what the task asks for are one transaction. Missed slots are not made up for: tasks look
at what is due, not at what was due then; the daily ones ask for a tenant's day as long as it has no job.
"""

import time as clock
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from db.statement import Bound
from fleet.configuration.snapshot import current
from fleet.logging import get_logger
from fleet.metrics import scheduled_runs_total
from fleet.tracing import span
from tenancy.job_keys import MAX_ATTEMPTS
from tenancy.platform import PlatformDatabase, PlatformSession
from workers.lease import Lease
from workers.sagas.sweep import ask_for_sagas
from workers.schedule_repository import (
    ADD_DAILY_JOBS,
    ADD_EXPIRY_JOBS,
    DROP_DECISIONS,
    DROP_JOBS,
    DROP_KEYS,
    DROP_RUNS,
    NOTE_RUN,
    TAKE_SLOT,
    ZONES,
    SlotTaken,
)

log = get_logger("workers.schedule")

#: Rows a clean-up deletes per transaction, and transactions per slot.
_BATCH = 1_000
_BATCHES = 100

Fill = Callable[[PlatformSession, SlotTaken], Awaitable[int]]
Tidy = Callable[[PlatformDatabase], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Task:
    """`fill` works in the slot's own transaction; `tidy` after it, in small ones that may stop anywhere."""

    name: str
    every: float
    fill: Fill | None = None
    tidy: Tidy | None = None


async def _ask_for_expiries(session: PlatformSession, slot: SlotTaken) -> int:
    [added] = await session.load(
        ADD_EXPIRY_JOBS(to_queue="default", of_kind="reservation_expiry", attempts=current().get(MAX_ATTEMPTS))
    )
    return len(added)


def daily(kind: str, at: time, queue: str = "low") -> Fill:
    """A job of `kind` for every active tenant once its own clock shows `at`."""

    async def fill(session: PlatformSession, slot: SlotTaken) -> int:
        [zones] = await session.load(ZONES())
        days = due_days([zone for (zone,) in zones], slot.now, at)
        if not days:
            return 0
        [added] = await session.load(
            ADD_DAILY_JOBS(
                to_queue=queue,
                of_kind=kind,
                zones=list(days),
                days=list(days.values()),
                attempts=current().get(MAX_ATTEMPTS),
            )
        )
        return len(added)

    return fill


def due_days(zones: list[str], now: datetime, at: time) -> dict[str, date]:
    """Zone -> its present day, for the zones where it is `at` or later. Unknown zones are left out."""
    found = {}
    for zone in zones:
        try:
            local = now.astimezone(ZoneInfo(zone))
        except (KeyError, ValueError, OSError):
            # One tenant's unreadable zone must not keep the others from their day.
            log.error("unknown time zone", zone=zone)
            continue
        if local.time() >= at:
            found[zone] = local.date()
    return found


def dropping(statement: Callable[..., Bound[Any]], age: timedelta) -> Tidy:
    """Delete what is older than `age`, a batch a transaction."""

    async def once(session: PlatformSession) -> int:
        [dropped] = await session.load(statement(age=age, at_most=_BATCH))
        return len(dropped)

    async def tidy(platform: PlatformDatabase) -> int:
        total = 0
        for _ in range(_BATCHES):
            dropped = await platform.run(once)
            total += dropped
            if dropped < _BATCH:
                break
        return total

    return tidy


TASKS: tuple[Task, ...] = (
    Task("reservation_expiry", 30.0, fill=_ask_for_expiries),
    Task("forgotten_sagas", 30.0, fill=ask_for_sagas),
    Task("trial_balance_snapshots", 300.0, fill=daily("trial_balance_snapshots", time(3))),
    Task("usage_measurement", 300.0, fill=daily("usage_measurement", time(2))),
    Task("overdue_invoices", 300.0, fill=daily("overdue_invoices", time(4))),
    Task("event_verification", 300.0, fill=daily("event_verification", time(2))),
    Task("idempotency_clean_up", 600.0, tidy=dropping(DROP_KEYS, timedelta(hours=72))),
    Task("job_clean_up", 3600.0, tidy=dropping(DROP_JOBS, timedelta(days=30))),
    Task("two_phase_clean_up", 3600.0, tidy=dropping(DROP_DECISIONS, timedelta(days=7))),
    Task("schedule_clean_up", 3600.0, tidy=dropping(DROP_RUNS, timedelta(days=30))),
)


class Schedule:
    """Runs the tasks whose slot has come, under a lease."""

    def __init__(self, platform: PlatformDatabase, lease: Lease, tasks: tuple[Task, ...] = TASKS) -> None:
        self._platform = platform
        self._lease = lease
        self._tasks = tasks
        #: Task -> when to look again, on this process's clock.
        self._next: dict[str, float] = {}

    async def tick(self) -> None:
        """Look at every task that may be due. Raises the first failure after all had their turn."""
        failed: Exception | None = None
        for task in self._tasks:
            if clock.monotonic() >= self._next.get(task.name, 0.0):
                try:
                    await self._look_at(task)
                except Exception as error:
                    scheduled_runs_total.at(task.name, "failed").inc()
                    failed = failed or error
        if failed is not None:
            raise failed

    async def _look_at(self, task: Task) -> None:
        with span("schedule", task=task.name):
            taken, affected = await self._platform.run(lambda session: self._take(session, task))
            self._next[task.name] = clock.monotonic() + max(0.0, taken.wait)
            if not taken.won:
                scheduled_runs_total.at(task.name, "skipped").inc()
                return
            if task.tidy is not None:
                affected += await task.tidy(self._platform)
            await self._platform.run(lambda session: self._note(session, task, taken, affected))
        scheduled_runs_total.at(task.name, "done").inc()

    async def _take(self, session: PlatformSession, task: Task) -> tuple[SlotTaken, int]:
        lease = self._lease
        [[taken]] = await session.load(
            TAKE_SLOT(job=task.name, every=task.every, lease=lease.name, holder=lease.holder, term=lease.term)
        )
        if not taken.won or task.fill is None:
            return taken, 0
        return taken, await task.fill(session, taken)

    async def _note(self, session: PlatformSession, task: Task, taken: SlotTaken, affected: int) -> None:
        session.save(NOTE_RUN(of_job=task.name, of_slot=taken.slot, changed=affected))
