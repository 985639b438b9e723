"""What the system's tasks ask for in tenants: jobs by each tenant's own clock, and only where something is due."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from erp.kernel.errors import Invalid
from erp.kernel.timetable import ON_TIME, timetable
from erp.operations.system_schedules import SystemRow
from fleet.configuration.snapshot import current
from fleet.logging import get_logger
from tenancy.job_keys import MAX_ATTEMPTS
from tenancy.platform import PlatformSession
from workers.schedule_repository import ADD_EXPIRY_JOBS, ADD_TENANT_JOBS, SETTLE_TAKEN, ZONES, SlotTaken

log = get_logger("workers.tenant_tasks")


@dataclass(frozen=True, slots=True)
class TenantJobs:
    """The job a task asks for in every active tenant; `unless` it has a schedule of its own of that kind."""

    kind: str
    queue: str
    unless: str | None = None


async def ask_for_expiries(session: PlatformSession, slot: SlotTaken) -> int:
    [added] = await session.load(
        ADD_EXPIRY_JOBS(to_queue="default", of_kind="reservation_expiry", attempts=current().get(MAX_ATTEMPTS))
    )
    return len(added)


async def ask_tenants(
    session: PlatformSession, tenants: TenantJobs, row: SystemRow, now: datetime, *, requested: bool = False
) -> int:
    """A job for every tenant whose clock has shown a moment since the last look, or when it was asked for."""
    [zones] = await session.load(ZONES())
    named = [zone for (zone,) in zones]
    if requested:
        due = dict.fromkeys(named, f"requested {now.astimezone(UTC).isoformat()}")
    else:
        due = due_slots(named, row.cron or row.declared_cron or "", row.settled_to, now, row.missed)
        session.save(SETTLE_TAKEN(of_job=row.job, to=now))
    if not due:
        return 0
    [added] = await session.load(
        ADD_TENANT_JOBS(
            to_queue=tenants.queue, of_kind=tenants.kind, unless=tenants.unless, zones=list(due),
            slots=list(due.values()), attempts=current().get(MAX_ATTEMPTS),
        )
    )  # fmt: skip
    return len(added)


def due_slots(
    zones: Iterable[str], cron: str, since: datetime, now: datetime, missed: str | None = None
) -> dict[str, str]:
    """Zone -> its latest moment after `since`, for the zones that have one. Unknown zones are left out."""
    found = {}
    for zone in zones:
        try:
            moments = timetable(cron, zone).latest(since, now, 1)
        except Invalid:
            # One tenant's unreadable zone must not keep the others from their moment.
            log.error("unknown time zone", zone=zone)
            continue
        if moments and not (missed == "skip" and now - moments[0] > ON_TIME):
            found[zone] = moments[0].isoformat()
    return found
