"""Statements on jobs across tenants: claim, keep, end, enqueue, rescue. The database's clock decides every time."""

from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    CTE,
    BigInteger,
    Boolean,
    ColumnElement,
    Integer,
    Interval,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    false,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.dml import ReturningUpdate

from db.statement import Statement, any_of, rows_of
from erp.jobs.models import jobs
from tenancy.api_keys import tenants
from workers.claim import Claim, TenantRow
from workers.quarantine import WORKER_LOST


class Ticket(NamedTuple):
    """What goes into a message, and the queue it goes to."""

    queue: str
    tenant_id: UUID
    id: UUID


class Rescued(NamedTuple):
    queue: str
    kind: str
    state: str


class Backlog(NamedTuple):
    queue: str
    depth: int
    oldest: timedelta | None


NOW: ColumnElement[Any] = func.clock_timestamp()
# In the text, not as parameters: a generic plan then still proves that the partial indexes apply.
QUEUED: ColumnElement[bool] = jobs.c.state == literal_column("'queued'")
RUNNING: ColumnElement[bool] = jobs.c.state == literal_column("'running'")
#: What the indexes of the live part know: nothing that taking a job changes, so that its row stays on its page.
_UNFINISHED: ColumnElement[bool] = jobs.c.phase == literal_column("'unfinished'")
TO_ENQUEUE = and_(_UNFINISHED, jobs.c.enqueued_at.is_(None))
ENQUEUED = and_(_UNFINISHED, jobs.c.enqueued_at.is_not(None))
_lease_end = NOW + cast(bindparam("lease"), Interval)
_this_job = (jobs.c.tenant_id == bindparam("tenant", type_=Uuid), jobs.c.id == bindparam("job_id", type_=Uuid))
#: Only the holder of the newest claim may say how it ended.
_still_mine = (*_this_job, jobs.c.fence == bindparam("fence", type_=BigInteger), RUNNING)
_one_more = jobs.c.version + 1


def _claimed(*columns: Any) -> tuple[Claim, TenantRow]:
    own = len(Claim._fields)
    return Claim(*columns[:own]), TenantRow(*columns[own:])


_waits = and_(QUEUED, jobs.c.run_at <= NOW)
_known = jobs.c.kind == any_of("kinds", Text)


def _claim_of(named: tuple[ColumnElement[bool], ...]) -> ReturningUpdate[Any]:
    return (
        update(jobs)
        .where(
            *named,
            tenants.c.tenant_id == jobs.c.tenant_id,
            jobs.c.attempts < jobs.c.max_attempts,
            _known,
            or_(_waits, and_(RUNNING, jobs.c.lease_until < NOW)),
        )
        .values(
            state="running", attempts=jobs.c.attempts + 1, fence=jobs.c.fence + 1, lease_until=_lease_end,
            # Set already, unless the message came after it was given up as lost: RESCUE looks at enqueued jobs only.
            enqueued_at=func.coalesce(jobs.c.enqueued_at, NOW), started_at=NOW, version=_one_more,
        )
        .returning(
            jobs.c.tenant_id, jobs.c.id, jobs.c.queue, jobs.c.kind, jobs.c.payload, jobs.c.attempts,
            jobs.c.max_attempts, jobs.c.fence, jobs.c.unique_key, jobs.c.correlation_id, jobs.c.causation_id,
            jobs.c.traceparent, (NOW - jobs.c.run_at).label("waited"), jobs.c.error_code,
            tenants.c.tenant_id.label("of_tenant"), tenants.c.slug, tenants.c.name, tenants.c.state,
            tenants.c.base_currency, tenants.c.country, tenants.c.time_zone, tenants.c.settings,
            tenants.c.database,
        )
    )  # fmt: skip


#: The attempt is counted and the fence raised before the work, so that a job that kills its worker stops too.
#: Kinds this build does not know are left to a newer one.
CLAIM: Statement[tuple[Claim, TenantRow]] = Statement(_claim_of(_this_job), _claimed)
#: Several jobs of a tenant without caps, in the order of the primary key: two that want the same wait in no circle.
#: Those whose worker was lost with them are left: each is claimed alone.
CLAIM_TOGETHER: Statement[tuple[Claim, TenantRow]] = Statement(
    _claim_of(
        (
            _this_job[0], jobs.c.id == any_of("job_ids", Uuid),
            or_(jobs.c.attempts == literal_column("0"), jobs.c.error_code != literal_column(f"'{WORKER_LOST}'")),
        )
    ),
    _claimed,
)  # fmt: skip

#: One claim of a capped tenant after the other, in a statement of its own: the next one counts what it committed.
TAKE_TURN = Statement(
    select(
        func.pg_advisory_xact_lock(
            func.hashtextextended(literal("jobs:") + cast(bindparam("tenant", type_=Uuid), Text), literal_column("0"))
        )
    )
)
_caps = rows_of(queues=Text, caps=Integer)
_cap = select(_caps.c.caps).where(_caps.c.queues == jobs.c.queue).scalar_subquery()
_others = jobs.alias("others")
#: Of the same tenant and queue. A job whose worker is gone counts until its lease ends, then it holds no place.
_running = (
    select(func.count())
    .select_from(_others)
    .where(
        _others.c.queue == jobs.c.queue, _others.c.tenant_id == jobs.c.tenant_id,
        _others.c.phase == literal_column("'unfinished'"), _others.c.enqueued_at.is_not(None),
        _others.c.state == literal_column("'running'"), _others.c.lease_until >= NOW,
    )
    .correlate(jobs)
    .scalar_subquery()
)  # fmt: skip
#: `caps` of those `queues` where the tenant has one.
CLAIM_BELOW_CAP: Statement[tuple[Claim, TenantRow]] = Statement(
    _claim_of(_this_job).where(_running < func.coalesce(_cap, literal_column("2147483647"))), _claimed
)
#: After a claim in vain: back to those that get a message when there is room.
PUT_BACK = Statement(
    update(jobs)
    .where(*_this_job, _waits, _known, jobs.c.attempts < jobs.c.max_attempts, jobs.c.enqueued_at.is_not(None))
    .values(enqueued_at=null())
    .returning(jobs.c.queue)
)

_held = rows_of(tenants=Uuid, job_ids=Uuid, fences=BigInteger)
#: Renews every lease of a process at once; what does not come back is no longer its own. Last: whether it is asked to
#: stop.
RENEW = Statement(
    update(jobs)
    .where(
        jobs.c.tenant_id == _held.c.tenants, jobs.c.id == _held.c.job_ids, jobs.c.fence == _held.c.fences,
        RUNNING,
    )
    .values(lease_until=_lease_end)
    .returning(jobs.c.tenant_id, jobs.c.id, jobs.c.fence, jobs.c.cancel_requested_at.is_not(None))
)  # fmt: skip

_ended = rows_of(tenants=Uuid, job_ids=Uuid, fences=BigInteger, outcomes=JSONB)
#: Many that are done; each behind its own fence: what does not come back was another's.
FINISH = Statement(
    update(jobs)
    .where(
        jobs.c.tenant_id == _ended.c.tenants, jobs.c.id == _ended.c.job_ids, jobs.c.fence == _ended.c.fences,
        RUNNING,
    )
    .values(
        state="done", result=_ended.c.outcomes, lease_until=null(), finished_at=NOW,
        error_code=null(), error_detail=null(), traceback=null(), version=_one_more,
    )
    .returning(jobs.c.tenant_id, jobs.c.id, jobs.c.fence)
)  # fmt: skip

#: It was asked to stop and did so.
STOP = Statement(
    update(jobs)
    .where(*_still_mine, jobs.c.cancel_requested_at.is_not(None))
    .values(
        state="cancelled", result=bindparam("outcome", type_=JSONB), lease_until=null(), finished_at=NOW,
        error_code=null(), error_detail=null(), traceback=null(), version=_one_more,
    )
    .returning(jobs.c.id)
)  # fmt: skip


def _next_state(over: ColumnElement[bool]) -> dict[str, ColumnElement[Any]]:
    """Of an attempt that did not finish: another one, unless it was the last one or nobody wants it any more."""
    unwanted = jobs.c.cancel_requested_at.is_not(None)
    return {
        "state": case((over, "failed"), (unwanted, "cancelled"), else_="queued"),
        "finished_at": case((or_(over, unwanted), NOW), else_=null()),
    }


_given_up = or_(jobs.c.attempts >= jobs.c.max_attempts, cast(bindparam("final"), Boolean))
FAIL = Statement(
    update(jobs)
    .where(*_still_mine)
    .values(
        **_next_state(_given_up), lease_until=null(), enqueued_at=null(),
        run_at=NOW + cast(bindparam("backoff"), Interval),
        error_code=bindparam("code"), error_detail=bindparam("detail"), traceback=bindparam("trace"),
        version=_one_more,
    )
    .returning(jobs.c.state)
)  # fmt: skip

#: Not the job's fault (its worker shuts down, its tenant is suspended): the attempt does not count.
HAND_BACK = Statement(
    update(jobs)
    .where(*_still_mine)
    .values(
        **_next_state(false()), attempts=func.greatest(jobs.c.attempts - 1, 0), lease_until=null(),
        enqueued_at=null(), run_at=NOW + cast(bindparam("delay"), Interval), version=_one_more,
    )
    .returning(jobs.c.id)
)  # fmt: skip

# Rows are found by an index of the live part, locked, and written by their place in the table: joined by key, a
# generic plan might read all of the history for every batch.
_place: ColumnElement[Any] = literal_column("ctid")
_found: tuple[ColumnElement[Any], ...] = (
    jobs.c.queue, jobs.c.tenant_id, jobs.c.id, literal_column("jobs.ctid").label("place"),
)  # fmt: skip


def places(found: CTE) -> ColumnElement[bool]:
    return _place == func.any(func.array(select(found.c.place).scalar_subquery()))


_patience = rows_of(queues=Text, milliseconds=Integer)
_too_long: ColumnElement[Any] = _patience.c.milliseconds * literal_column("interval '1 millisecond'")
_late = (
    select(*_found)
    .where(
        jobs.c.queue == _patience.c.queues, ENQUEUED, QUEUED,
        jobs.c.enqueued_at < NOW - _too_long,
    )
    .order_by(jobs.c.enqueued_at)
    .limit(bindparam("at_most"))
    .with_for_update(skip_locked=True)
    .lateral("late")
)  # fmt: skip
_stale = select(_late).select_from(_patience.join(_late, true())).cte("stale")
#: Their messages are gone (or late: a second message does no harm), so they are enqueued anew.
FORGET_ENQUEUED: Statement[Ticket] = Statement(
    update(jobs)
    .where(places(_stale))
    .values(enqueued_at=null())
    .returning(jobs.c.queue, jobs.c.tenant_id, jobs.c.id),
    Ticket,
)

_expired = (
    select(*_found)
    .where(ENQUEUED, RUNNING, jobs.c.lease_until < NOW)
    .order_by(jobs.c.lease_until)
    .limit(bindparam("at_most"))
    .with_for_update(skip_locked=True)
    .cte("expired")
)
_spent = jobs.c.attempts >= jobs.c.max_attempts
#: What was lost together may have been lost because of one of them: apart from each other, the others come through.
_apart: ColumnElement[Any] = func.random() * jobs.c.attempts * literal_column("interval '1 second'")
#: The fence rises here already: a worker that wakes up now is refused, whether or not another has begun.
RESCUE: Statement[Rescued] = Statement(
    update(jobs)
    .where(places(_expired))
    .values(
        **_next_state(_spent), fence=jobs.c.fence + 1, lease_until=null(), enqueued_at=null(), run_at=NOW + _apart,
        error_code=WORKER_LOST,
        error_detail=literal("The worker ended or stalled during attempt ") + cast(jobs.c.attempts, Text) + ".",
        version=_one_more,
    )
    .returning(jobs.c.queue, jobs.c.kind, jobs.c.state),
    Rescued,
)  # fmt: skip

_waiting = union_all(
    select(jobs.c.queue, jobs.c.run_at).where(TO_ENQUEUE, jobs.c.run_at <= NOW),
    select(jobs.c.queue, jobs.c.run_at).where(ENQUEUED, QUEUED),
).subquery("waiting")
BACKLOG: Statement[Backlog] = Statement(
    select(_waiting.c.queue, func.count(), NOW - func.min(_waiting.c.run_at)).group_by(_waiting.c.queue), Backlog
)
UNDER_WAY = Statement(select(jobs.c.queue, func.count()).where(ENQUEUED, RUNNING).group_by(jobs.c.queue))
FAILED = Statement(
    select(jobs.c.queue, func.count()).where(jobs.c.phase == literal_column("'failed'")).group_by(jobs.c.queue)
)
