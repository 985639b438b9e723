"""Accounting periods: months that are open, soft-closed (can be reopened) or closed for good."""

from calendar import monthrange
from collections.abc import Mapping
from datetime import date
from typing import Final
from uuid import UUID

from db.identifiers import new_id
from erp.accounting.repository import (
    ADD_PERIODS,
    ADD_SNAPSHOT,
    CLOSE_GATE,
    DROP_SNAPSHOT,
    FIRST_PERIOD,
    LOCK_PERIOD,
    MARK_SNAPSHOT,
    SET_PERIOD,
    PeriodState,
)
from erp.accounting.schemas import ClosePeriodInput, CreatePeriodsInput, PeriodsView, PeriodView, ReopenPeriodInput
from erp.kernel.errors import InvalidState, NotFound
from tenancy.trail import Event
from tenancy.work import UnitOfWork

#: state -> the states it may take next.
TRANSITIONS: Final[Mapping[str, frozenset[str]]] = {
    "open": frozenset({"soft_closed", "closed"}),
    "soft_closed": frozenset({"open", "closed"}),
    "closed": frozenset(),
}


def months_from(first: date, months: int) -> list[tuple[date, date]]:
    """(first day, last day) of `months` months, from the month of `first` on."""
    spans = []
    for offset in range(months):
        years, month = divmod(first.month - 1 + offset, 12)
        year = first.year + years
        spans.append((date(year, month + 1, 1), date(year, month + 1, monthrange(year, month + 1)[1])))
    return spans


async def create_periods(work: UnitOfWork, data: CreatePeriodsInput) -> PeriodsView:
    """Open the months that do not exist yet; the first one is there afterwards, made now or before."""
    spans = months_from(data.first_month, data.months)
    added, [first] = await work.load(
        ADD_PERIODS(
            ids=[new_id() for _ in spans], starts=[start for start, _ in spans], ends=[end for _, end in spans]
        ),
        FIRST_PERIOD(start=spans[0][0]),
    )
    for period in added:
        work.publish(Event("period", period.id, 1, "period.created", _span(period)))
        work.audit("period.create", "period", period.id, after=_span(period))
    return PeriodsView(id=first.id, data=[period_view(period) for period in added])


async def close_period(work: UnitOfWork, period_id: UUID, data: ClosePeriodInput) -> PeriodView:
    """Close a period. Waits for the postings under way, which hold it FOR SHARE; later ones see it closed.

    Its event sets the summing up of its balances going.
    """
    return await _move(work, period_id, data.state, data.reason)


async def reopen_period(work: UnitOfWork, period_id: UUID, data: ReopenPeriodInput) -> PeriodView:
    """Open a soft-closed period again and drop its balance snapshot, which postings may now make untrue."""
    view = await _move(work, period_id, "open", data.reason)
    work.save(DROP_SNAPSHOT(period_id=period_id))
    return view


async def _move(work: UnitOfWork, period_id: UUID, state: str, reason: str) -> PeriodView:
    _, found = await work.load(CLOSE_GATE(), LOCK_PERIOD(id=period_id))
    if not found:
        raise NotFound(period_id=str(period_id))
    before = found[0]
    work.check_version(before.version)
    check_transition(before, state)
    after = before._replace(state=state, reason=reason, snapshot_at=None, version=before.version + 1)
    work.save(SET_PERIOD(period_id=period_id, new_state=state, new_reason=reason))
    kind = "reopened" if state == "open" else state
    work.publish(Event("period", period_id, after.version, f"period.{kind}", {**_span(before), "reason": reason}))
    work.audit(
        f"period.{'reopen' if state == 'open' else 'close'}", "period", period_id,
        before={"state": before.state, "reason": before.reason}, after={"state": state, "reason": reason},
    )  # fmt: skip
    return period_view(after)


def check_transition(period: PeriodState, state: str) -> None:
    """Raises InvalidState for a step the transition table does not have."""
    if state not in TRANSITIONS[period.state]:
        raise InvalidState(
            f"The period {period.start_date:%Y-%m} is {period.state.replace('_', '-')}"
            f" and cannot become {state.replace('_', '-')}.",
            state=period.state, allowed=sorted(TRANSITIONS[period.state]),
        )  # fmt: skip


async def snapshot_balances(work: UnitOfWork, period_id: UUID) -> bool:
    """Sum up a closed period per account; False when it is open (again) or gone. May run any number of times."""
    [found] = await work.load(LOCK_PERIOD(id=period_id))
    if not found or found[0].state == "open":
        return False
    work.save(
        DROP_SNAPSHOT(period_id=period_id),
        ADD_SNAPSHOT(period_id=period_id, start=found[0].start_date, end=found[0].end_date),
        MARK_SNAPSHOT(period_id=period_id, at=work.now),
    )
    return True


def _span(period: PeriodState) -> dict[str, str]:
    return {"start_date": period.start_date.isoformat(), "end_date": period.end_date.isoformat()}


def period_view(period: PeriodState) -> PeriodView:
    return PeriodView(
        id=period.id,
        version=period.version,
        start_date=period.start_date,
        end_date=period.end_date,
        state=period.state,  # type: ignore[arg-type]  # a CHECK keeps it to the three states
        reason=period.reason,
        snapshot_at=period.snapshot_at,
        created_at=period.created_at,
    )
