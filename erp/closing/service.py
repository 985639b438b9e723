"""Looking at a period before it is closed."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from psycopg.types.json import Jsonb

from db.identifiers import new_id
from erp.closing.queries import ADD_CHECK, EXAMPLES, PERIOD, RULES, UNFINISHED_JOB, CheckRow, Found
from erp.closing.schemas import AskedCheckView, ExampleView, FindingView, PeriodCheckView
from erp.kernel.errors import NotFound
from erp.reporting.proof import CHECKS
from erp.reporting.routes import BY_HASH
from tenancy.trail import Event
from tenancy.work import UnitOfWork

JOB_KIND = "period_pre_close"
_NO_PERIOD = UUID(int=0)


async def ask_for_check(work: UnitOfWork, period_id: UUID) -> AskedCheckView:
    """Have the period looked at after the answer. Raises NotFound."""
    [found] = await work.load(PERIOD(period_id=period_id, day=None))
    if not found:
        raise NotFound(period_id=str(period_id))
    key = f"pre-close:{period_id}"
    work.enqueue(JOB_KIND, {"period_id": str(period_id)}, queue="low", unique_key=key)
    [[(job_id,)]] = await work.load(UNFINISHED_JOB(unique_key=key))
    return AskedCheckView(job_id=job_id)


def month_of(slot: datetime, months_back: int, time_zone: str) -> date:
    """The first day of the month so many months before the slot's, by the tenant's clock."""
    day = slot.astimezone(ZoneInfo(time_zone)).date().replace(day=1)
    for _ in range(months_back):
        day = (day - timedelta(days=1)).replace(day=1)
    return day


async def check_period(work: UnitOfWork, period_id: UUID | None, day: date | None) -> PeriodCheckView | None:
    """Look at the period with this id, or the one that day lies in, and keep what was found. None: no such period."""
    [found] = await work.load(PERIOD(period_id=period_id or _NO_PERIOD, day=day))
    if not found:
        return None
    period = found[0]
    span = {"first": period.start_date, "last": period.end_date}
    results = await work.load(*(statement(**span) for _, statement in RULES.values()))
    _, *proofs = await work.load(BY_HASH, *(check.statement() for check in CHECKS))
    broken = [check.name for check, rows in zip(CHECKS, proofs, strict=True) if rows]
    findings = [
        *(_finding(rule, hinders, rows) for (rule, (hinders, _)), rows in zip(RULES.items(), results, strict=True)),
        _finding("proof", True, [Found(name, name, len(broken)) for name in broken]),
    ]
    view = PeriodCheckView(
        id=new_id(), period_id=period.id, hinders=any(one.hinders and one.count for one in findings),
        findings=findings, created_at=work.now,
    )  # fmt: skip
    kept = Jsonb(msgspec.to_builtins(findings))
    work.save(
        ADD_CHECK(id=view.id, period_id=period.id, hinders=view.hinders, findings=kept, created_at=view.created_at)
    )
    counts = {one.rule: one.count for one in findings if one.count}
    told = {"period_id": str(period.id), "hinders": view.hinders, "findings": counts}
    work.publish(Event("period_check", view.id, 1, "period.checked", told))
    work.audit("period.check", "period", period.id, after=told)
    return view


def _finding(rule: str, hinders: bool, rows: Sequence[Found]) -> FindingView:
    return FindingView(
        rule=rule,  # type: ignore[arg-type]  # the names of RULES, and `proof`
        hinders=hinders,
        count=rows[0].total if rows else 0,
        examples=[ExampleView(id=row.id, number=row.number) for row in rows[:EXAMPLES]],
    )


def check_view(row: CheckRow) -> PeriodCheckView:
    findings: Any = msgspec.convert(row.findings, list[FindingView])
    return PeriodCheckView(
        id=row.id, period_id=row.period_id, hinders=row.hinders, findings=findings, created_at=row.created_at
    )
