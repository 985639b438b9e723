"""What runs by the clock: a fixed list of tasks, each once a slot across the fleet, whoever believes to lead.

The slot's row and what the task asks for are one transaction. Interval tasks look at what is due, so a missed slot
needs no making up; those with a cron expression make up for missed slots as their policy says. When a task runs, and
whether, the operator may change (`system_schedules`); what it does not.
"""

import time as clock
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from db.statement import Bound
from erp.kernel.timetable import MOST_MISSED, Missed, plan, timetable
from erp.operations.system_schedules import TENANT_ZONE, zone_of
from fleet.metrics import scheduled_runs_total
from fleet.tracing import span
from tenancy.platform import PlatformDatabase, PlatformSession
from workers.lease import Lease
from workers.sagas.sweep import ask_for_sagas
from workers.schedule_repository import (
    CLEAR_REQUEST,
    DROP_DECISIONS,
    DROP_JOBS,
    DROP_KEYS,
    DROP_RUNS,
    DROP_TENANT_RUNS,
    DROP_VERIFICATIONS,
    NOTE_RUN,
    SETTLE,
    TAKE_MOMENT,
    TAKE_SLOT,
    SlotTaken,
)
from workers.schedule_rows import ScheduleRows
from workers.tenant_tasks import TenantJobs, ask_for_expiries, ask_tenants

#: Rows a clean-up deletes per transaction, and transactions per slot.
_BATCH = 1_000
_BATCHES = 100

Fill = Callable[[PlatformSession, SlotTaken], Awaitable[int]]
Tidy = Callable[[PlatformDatabase], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Task:
    """`fill` works in the slot's own transaction; `tidy` after it, in small ones that may stop anywhere.

    Without `cron` a slot is `every` seconds. With it, slots are its moments in `zone`; where that is TENANT_ZONE,
    each tenant has its own, looked for `every` seconds, and `tenants` says which job is theirs.
    """

    name: str
    every: float = 60.0
    fill: Fill | None = None
    tidy: Tidy | None = None
    cron: str | None = None
    zone: str = "UTC"
    missed: Missed = "run_once"
    tenants: TenantJobs | None = None


def each_tenant(name: str, kind: str, cron: str, queue: str = "low", *, unless: str | None = None) -> Task:
    """A job of `kind` for every active tenant, at the expression's moments by the tenant's own clock.

    `unless`: not for tenants with a schedule of this kind.
    """
    return Task(name, cron=cron, zone=TENANT_ZONE, tenants=TenantJobs(kind, queue, unless))


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


#: A further task is a line here; one for every tenant names a kind of job.
TASKS: tuple[Task, ...] = (
    Task("reservation_expiry", 30.0, fill=ask_for_expiries),
    Task("forgotten_sagas", 30.0, fill=ask_for_sagas),
    each_tenant("trial_balance_snapshots", "trial_balance_snapshots", "0 3 * * *"),
    each_tenant("usage_measurement", "usage_measurement", "0 2 * * *"),
    each_tenant("event_verification", "event_verification", "0 2 * * *"),
    each_tenant("overdue_invoices", "overdue_invoices", "0 4 * * *"),
    each_tenant("nightly_reorder", "nightly_reorder", "0 5 * * *", unless="reorder"),
    each_tenant("monthly_period_check", "monthly_period_check", "0 6 1 * *", unless="period_pre_close"),
    Task("idempotency_clean_up", 600.0, tidy=dropping(DROP_KEYS, timedelta(hours=72))),
    Task("job_clean_up", 3600.0, tidy=dropping(DROP_JOBS, timedelta(days=30))),
    Task("two_phase_clean_up", 3600.0, tidy=dropping(DROP_DECISIONS, timedelta(days=7))),
    Task("schedule_clean_up", 3600.0, tidy=dropping(DROP_RUNS, timedelta(days=30))),
    Task("schedule_run_clean_up", 3600.0, tidy=dropping(DROP_TENANT_RUNS, timedelta(days=30))),
    Task("verification_clean_up", 3600.0, tidy=dropping(DROP_VERIFICATIONS, timedelta(days=90))),
)


Take = Callable[[PlatformSession, Task], Awaitable[tuple[SlotTaken, int]]]


class Schedule:
    """Runs the tasks whose slot has come, under a lease."""

    def __init__(self, platform: PlatformDatabase, lease: Lease, tasks: tuple[Task, ...] = TASKS) -> None:
        self._platform = platform
        self._lease = lease
        self._tasks = tasks
        self._rows = ScheduleRows(platform)
        #: Task -> when to look again, on this process's clock.
        self._next: dict[str, float] = {}

    async def register(self) -> None:
        """Have the tasks known to the operator; the first tick does it too."""
        await self._rows.refresh(self._tasks)

    async def tick(self) -> None:
        """Look at every task that may be due. Raises the first failure after all had their turn."""
        for changed in await self._rows.refresh(self._tasks):
            self._next.pop(changed, None)
        failed: Exception | None = None
        for task in self._tasks:
            try:
                if self._rows.of(task.name).requested_at is not None:
                    await self._look_at(task, self._take_requested)
                if self._rows.of(task.name).enabled and clock.monotonic() >= self._next.get(task.name, 0.0):
                    await self._look_at(task, self._take)
            except Exception as error:
                scheduled_runs_total.at(task.name, "failed").inc()
                failed = failed or error
        if failed is not None:
            raise failed

    async def _look_at(self, task: Task, take: Take) -> None:
        with span("schedule", task=task.name):
            taken, affected = await self._platform.run(lambda session: take(session, task))
            self._next[task.name] = clock.monotonic() + max(0.0, taken.wait)
            if not taken.won:
                scheduled_runs_total.at(task.name, "skipped").inc()
                return
            if task.tidy is not None:
                affected += await task.tidy(self._platform)
            await self._platform.run(lambda session: self._note(session, task, taken, affected))
        scheduled_runs_total.at(task.name, "done").inc()

    async def _take(self, session: PlatformSession, task: Task) -> tuple[SlotTaken, int]:
        row = self._rows.of(task.name)
        if (row.cron or row.declared_cron) is not None and task.tenants is None:
            return await self._take_moments(session, task)
        [[taken]] = await session.load(TAKE_SLOT(job=task.name, every=task.every, **self._under_lease()))
        if not taken.won:
            return taken, 0
        if task.tenants is not None:
            row, _ = await self._rows.read(session, task.name)
            return taken, await ask_tenants(session, task.tenants, row, taken.now)
        return taken, await task.fill(session, taken) if task.fill is not None else 0

    async def _take_moments(self, session: PlatformSession, task: Task) -> tuple[SlotTaken, int]:
        """The oldest moment to be done of those nobody has looked at, as the policy says; the next one follows."""
        row, now = await self._rows.read(session, task.name)
        table = timetable(row.cron or row.declared_cron or "", zone_of(row))
        moments = table.latest(row.settled_to, now, MOST_MISSED)
        found = plan(moments, now, row.missed or row.declared_missed)  # type: ignore[arg-type]  # a CHECK says so
        taken = SlotTaken(now, False, min(60.0, (table.next(now) - now).total_seconds()), now)
        if found is None:
            return taken, 0
        slot, trigger = found.latest, "skipped"
        if found.runs:
            slot, trigger = found.runs[0], "catch_up" if found.late else "clock"
        won = await self._won(session, task.name, slot, trigger, found.left_out)
        session.save(SETTLE(of_job=task.name, to=slot, **self._under_lease()))
        if not won or not found.runs:
            return taken, 0
        taken = SlotTaken(slot, True, 0.0 if len(found.runs) > 1 else taken.wait, now)
        return taken, await task.fill(session, taken) if task.fill is not None else 0

    async def _take_requested(self, session: PlatformSession, task: Task) -> tuple[SlotTaken, int]:
        """The run an operator asked for, at the moment it was asked for."""
        row, at = self._rows.take_request(task.name)
        taken = SlotTaken(at, False, 0.0, at)
        if not await self._won(session, task.name, at, "manual", 0):
            return taken, 0
        taken = taken._replace(won=True)
        session.save(CLEAR_REQUEST(of_job=task.name, at=at))
        if task.tenants is not None:
            return taken, await ask_tenants(session, task.tenants, row, at, requested=True)
        return taken, await task.fill(session, taken) if task.fill is not None else 0

    async def _won(self, session: PlatformSession, job: str, slot: datetime, trigger: str, missed: int) -> bool:
        [rows] = await session.load(
            TAKE_MOMENT(job=job, slot=slot, trigger=trigger, missed=missed, **self._under_lease())
        )
        return bool(rows)

    def _under_lease(self) -> dict[str, Any]:
        return {"lease": self._lease.name, "holder": self._lease.holder, "term": self._lease.term}

    async def _note(self, session: PlatformSession, task: Task, taken: SlotTaken, affected: int) -> None:
        session.save(NOTE_RUN(of_job=task.name, of_slot=taken.slot, changed=affected))
