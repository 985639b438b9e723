"""Tenants' schedules: whoever looks, each slot leaves one job.

A schedule is read, what is due decided, and one statement writes the runs, their jobs and the next slot, only where
the schedule is still as it was read. No lock is held while the process thinks, so one that freezes keeps nobody
waiting; one that wakes up late finds the lead lost and the schedule changed, and behind that the key of the slot.

What this program cannot read keeps nobody else waiting: kinds of a later release are not looked for, and a row that
makes no sense is put off.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg.types.json import Jsonb

from db.identifiers import new_id
from db.statement import Bound
from erp.kernel.timetable import MOST_MISSED, Plan, plan, timetable
from erp.scheduling.kinds import KINDS
from erp.scheduling.service import job_payload
from fleet.configuration.snapshot import current
from fleet.logging import get_logger
from fleet.metrics import tenant_schedule_runs_total, tenant_schedules_unreadable_total
from tenancy.job_keys import MAX_ATTEMPTS
from tenancy.platform import PlatformDatabase, PlatformSession
from workers.relay import Hold, anybody
from workers.tenant_schedules_repository import DUE, FIRE, OF_UNKNOWN_KIND, PARK, Due

log = get_logger("workers.tenant_schedules")

#: Schedules of one pass; what is left is found by the next one.
BATCH = 200
_KNOWN: Final = list(KINDS)


class Run(NamedTuple):
    """One row of the history, with the job it leaves (none when it is left out)."""

    tenant: UUID
    schedule: UUID
    id: UUID
    slot: datetime
    trigger: str
    missed: int
    job: UUID | None
    payload: dict[str, Any]


class Decided(NamedTuple):
    """What becomes of a schedule: its next slot, up to where it is settled, and the runs it leaves (perhaps none)."""

    next_at: datetime
    settled_to: datetime
    runs: list[Run]


class TenantSchedules:
    """Looks for due schedules of one database's tenants. `hold` refuses what it has found when the lead is lost."""

    def __init__(self, platform: PlatformDatabase, *, hold: Hold = anybody) -> None:
        self._platform = platform
        self._hold = hold
        #: Schedules of kinds this program does not know, told once.
        self._told: set[UUID] = set()

    async def tick(self) -> bool:
        """One pass; whether something was done, so that more may wait."""
        due, unknown = await self._platform.ask(
            DUE(kinds=_KNOWN, at_most=BATCH), OF_UNKNOWN_KIND(kinds=_KNOWN, at_most=BATCH)
        )
        self._tell(unknown)
        found, parked = decide(due)
        if not due:
            return False
        fired = await self._platform.run(lambda session: self._settle(session, found, parked))
        for (trigger,) in fired:
            tenant_schedule_runs_total.at(trigger).inc()
        tenant_schedules_unreadable_total.at("unreadable").inc(len(parked))
        return bool(fired)

    async def _settle(
        self, session: PlatformSession, found: Sequence[tuple[Due, Decided]], parked: Sequence[Due]
    ) -> list[tuple[str]]:
        await self._hold(session)
        if parked:
            session.save(
                PARK(
                    tenants=[row.tenant_id for row in parked], schedules=[row.id for row in parked],
                    versions=[row.version for row in parked], seen=[row.next_at for row in parked],
                )
            )  # fmt: skip
        if not found:
            return []
        [fired] = await session.load(fire(found))
        return fired

    def _tell(self, unknown: Sequence[tuple[UUID, str]]) -> None:
        for schedule, kind in unknown:
            if schedule not in self._told:
                log.error("unknown kind of schedule", schedule=str(schedule), kind=kind)
                tenant_schedules_unreadable_total.at("unknown_kind").inc()
        self._told = {schedule for schedule, _ in unknown}


def fire(found: Sequence[tuple[Due, Decided]]) -> Bound[tuple[str]]:
    """The statement that writes all of it."""
    runs = [(row, run) for row, decided in found for run in decided.runs]
    kinds = [KINDS[row.kind] for row, _ in runs]
    return FIRE(
        tenants=[row.tenant_id for row, _ in found],
        schedules=[row.id for row, _ in found],
        versions=[row.version for row, _ in found],
        seen=[row.next_at for row, _ in found],
        nexts=[decided.next_at for _, decided in found],
        settled=[decided.settled_to for _, decided in found],
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
        run_payloads=[Jsonb(run.payload) for _, run in runs],
        attempts=current().get(MAX_ATTEMPTS),
    )


def decide(due: Sequence[Due]) -> tuple[list[tuple[Due, Decided]], list[Due]]:
    """What is to be done about each, and those that cannot be read."""
    found: list[tuple[Due, Decided]] = []
    parked: list[Due] = []
    for row in due:
        try:
            found.append((row, _decided(row)))
        except Exception as error:  # whatever is wrong with one must not keep the others from their moment
            reason = f"{type(error).__name__}: {error}"[:200]
            log.error("unreadable schedule", schedule=str(row.id), cron=row.cron, zone=row.time_zone, reason=reason)
            parked.append(row)
    return found, parked


def _decided(row: Due) -> Decided:
    """Raises Invalid, and whatever a row that makes no sense leads to."""
    table = timetable(row.cron, row.time_zone)
    moments = table.latest(row.settled_to, row.now, MOST_MISSED)
    planned = plan(moments, row.now, row.missed)  # type: ignore[arg-type]  # a CHECK keeps it to the literals
    following = table.next(row.now)
    if planned is None:  # its next slot was not one of its moments: the zone's clocks are other ones by now
        return Decided(following, row.settled_to, [])
    return Decided(following, planned.latest, _runs(row, planned))


def _runs(row: Due, planned: Plan) -> list[Run]:
    trigger = "catch_up" if planned.late else "clock"
    if not planned.runs:
        return [_run(row, planned.latest, "skipped", planned.left_out)]
    return [_run(row, slot, trigger, planned.left_out if n == 0 else 0) for n, slot in enumerate(planned.runs)]


def _run(row: Due, slot: datetime, trigger: str, missed: int) -> Run:
    run_id = new_id()
    payload = job_payload(row.parameters, row.id, run_id, slot)
    job = None if trigger == "skipped" else new_id()
    return Run(row.tenant_id, row.id, run_id, slot, trigger, missed, job, payload)
