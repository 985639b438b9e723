"""Tenants' schedules: whoever looks, each slot leaves one job.

A schedule is read, what is due decided, and one statement writes the runs, their jobs and the next slot, only where
the schedule is still as it was read. No lock is held while the process thinks, so one that freezes keeps nobody
waiting; one that wakes up late finds the schedule changed, and behind that the key of the run's slot.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from psycopg.types.json import Jsonb

from db.identifiers import new_id
from db.statement import Bound
from erp.kernel.errors import Invalid
from erp.kernel.timetable import MOST_MISSED, Plan, plan, timetable
from erp.scheduling.kinds import KINDS
from erp.scheduling.service import job_payload
from fleet.configuration.snapshot import current
from fleet.logging import get_logger
from fleet.metrics import tenant_schedule_runs_total
from tenancy.job_keys import MAX_ATTEMPTS
from tenancy.platform import PlatformDatabase
from workers.tenant_schedules_repository import DUE, FIRE, Due

log = get_logger("workers.tenant_schedules")

#: Schedules of one pass; what is left is found by the next one.
BATCH = 200


class Run(NamedTuple):
    """One row of the history, with the job it leaves (none when it is left out)."""

    tenant: UUID
    schedule: UUID
    id: UUID
    slot: datetime
    trigger: str
    missed: int
    job: UUID | None


class TenantSchedules:
    """Looks for due schedules of the tenants of one database."""

    def __init__(self, platform: PlatformDatabase) -> None:
        self._platform = platform

    async def tick(self) -> bool:
        """One pass; whether there may be more."""
        [due] = await self._platform.ask(DUE(at_most=BATCH))
        found = [(row, decided) for row in due if (decided := _decided(row)) is not None]
        if found:
            await self._fire(found)
        return len(due) == BATCH

    async def _fire(self, found: Sequence[tuple[Due, Plan]]) -> None:
        runs = [(row, run) for row, decided in found for run in _runs(row, decided)]
        [fired] = await self._platform.ask(fire(found, runs))
        for (trigger,) in fired:
            tenant_schedule_runs_total.at(trigger).inc()


def fire(found: Sequence[tuple[Due, Plan]], runs: Sequence[tuple[Due, Run]]) -> Bound[tuple[str]]:
    """The statement that writes all of it."""
    kinds = [KINDS[row.kind] for row, _ in runs]
    return FIRE(
        tenants=[row.tenant_id for row, _ in found],
        schedules=[row.id for row, _ in found],
        versions=[row.version for row, _ in found],
        seen=[row.next_at for row, _ in found],
        nexts=[timetable(row.cron, row.time_zone).next(row.now) for row, _ in found],
        settled=[decided.latest for _, decided in found],
        run_tenants=[run.tenant for _, run in runs],
        run_schedules=[run.schedule for _, run in runs],
        run_ids=[run.id for _, run in runs],
        run_slots=[run.slot for _, run in runs],
        run_triggers=[run.trigger for _, run in runs],
        run_missed=[run.missed for _, run in runs],
        run_jobs=[run.job for _, run in runs],
        run_keys=[f"{run.schedule} {run.slot.isoformat()}" for _, run in runs],
        run_kinds=[kind.job for kind in kinds],
        run_queues=[kind.queue for kind in kinds],
        run_payloads=[Jsonb(job_payload(row.parameters, row.id, run.id, run.slot)) for row, run in runs],
        attempts=current().get(MAX_ATTEMPTS),
    )


def _decided(row: Due) -> Plan | None:
    """What is to be done about the schedule; None when this program cannot know."""
    if row.kind not in KINDS:
        log.error("unknown kind of schedule", schedule=str(row.id), kind=row.kind)
        return None
    try:
        table = timetable(row.cron, row.time_zone)
    except Invalid:
        log.error("unreadable schedule", schedule=str(row.id), cron=row.cron, zone=row.time_zone)
        return None
    moments = table.latest(row.settled_to, row.now, MOST_MISSED)
    return plan(moments, row.now, row.missed)  # type: ignore[arg-type]  # a CHECK keeps it to the literals


def _runs(row: Due, decided: Plan) -> list[Run]:
    trigger = "catch_up" if decided.late else "clock"
    if not decided.runs:
        return [Run(row.tenant_id, row.id, new_id(), decided.latest, "skipped", decided.left_out, None)]
    return [
        Run(row.tenant_id, row.id, new_id(), slot, trigger, decided.left_out if n == 0 else 0, new_id())
        for n, slot in enumerate(decided.runs)
    ]
