"""Statements on jobs across tenants: claim, keep, end, enqueue, rescue. The database's clock decides every time."""

from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Interval,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from db.statement import Statement, any_of, rows_of
from erp.jobs.models import jobs
from tenancy.api_keys import tenants


class Claim(NamedTuple):
    """A job as its worker holds it. `waited`: seconds from runnable to started."""

    tenant_id: UUID
    id: UUID
    queue: str
    kind: str
    payload: dict[str, Any]
    attempts: int
    max_attempts: int
    fence: int
    unique_key: str | None
    correlation_id: str | None
    causation_id: UUID | None
    traceparent: str | None
    waited: timedelta


class TenantRow(NamedTuple):
    id: UUID
    slug: str
    name: str
    state: str
    base_currency: str
    country: str
    time_zone: str
    settings: dict[str, Any]


class Ticket(NamedTuple):
    """What goes into a message."""

    tenant_id: UUID
    id: UUID


class Backlog(NamedTuple):
    queue: str
    depth: int
    oldest: timedelta | None


NOW: ColumnElement[Any] = func.clock_timestamp()
# In the text, not as parameters: a generic plan then still proves that the partial indexes apply.
QUEUED: ColumnElement[bool] = jobs.c.state == literal_column("'queued'")
RUNNING: ColumnElement[bool] = jobs.c.state == literal_column("'running'")
_lease_end = NOW + bindparam("lease", type_=Interval)
_this_job = (jobs.c.tenant_id == bindparam("tenant", type_=Uuid), jobs.c.id == bindparam("job_id", type_=Uuid))
#: Only the holder of the newest claim may say how it ended.
_still_mine = (*_this_job, jobs.c.fence == bindparam("fence", type_=BigInteger), RUNNING)
_one_more = jobs.c.version + 1

#: The attempt is counted and the fence raised before the work, so that a job that kills its worker stops too.
#: Kinds this build does not know are left to a newer one.
CLAIM: Statement[Claim] = Statement(
    update(jobs)
    .where(
        *_this_job,
        jobs.c.attempts < jobs.c.max_attempts,
        jobs.c.kind == any_of("kinds", Text),
        or_(
            and_(QUEUED, jobs.c.run_at <= NOW),
            and_(RUNNING, jobs.c.lease_until < NOW),
        ),
    )
    .values(
        state="running", attempts=jobs.c.attempts + 1, fence=jobs.c.fence + 1, lease_until=_lease_end,
        started_at=NOW, version=_one_more,
    )
    .returning(
        jobs.c.tenant_id, jobs.c.id, jobs.c.queue, jobs.c.kind, jobs.c.payload, jobs.c.attempts,
        jobs.c.max_attempts, jobs.c.fence, jobs.c.unique_key, jobs.c.correlation_id, jobs.c.causation_id,
        jobs.c.traceparent, (NOW - jobs.c.run_at).label("waited"),
    ),
    Claim,
)  # fmt: skip

TENANT_OF: Statement[TenantRow] = Statement(
    select(
        tenants.c.tenant_id, tenants.c.slug, tenants.c.name, tenants.c.state, tenants.c.base_currency,
        tenants.c.country, tenants.c.time_zone, tenants.c.settings,
    ).where(tenants.c.tenant_id == bindparam("tenant", type_=Uuid)),
    TenantRow,
)  # fmt: skip

_held = rows_of(tenants=Uuid, job_ids=Uuid, fences=BigInteger)
#: Renews every lease of a process at once; what does not come back is no longer its own.
RENEW = Statement(
    update(jobs)
    .where(
        jobs.c.tenant_id == _held.c.tenants, jobs.c.id == _held.c.job_ids, jobs.c.fence == _held.c.fences,
        RUNNING,
    )
    .values(lease_until=_lease_end)
    .returning(jobs.c.tenant_id, jobs.c.id, jobs.c.fence)
)  # fmt: skip

FINISH = Statement(
    update(jobs)
    .where(*_still_mine)
    .values(
        state="done", result=bindparam("outcome", type_=JSONB), lease_until=null(), finished_at=NOW,
        error_code=null(), error_detail=null(), traceback=null(), version=_one_more,
    )
    .returning(jobs.c.id)
)  # fmt: skip

_given_up = or_(jobs.c.attempts >= jobs.c.max_attempts, cast(bindparam("final"), Boolean))
FAIL = Statement(
    update(jobs)
    .where(*_still_mine)
    .values(
        state=case((_given_up, "failed"), else_="queued"), lease_until=null(), enqueued_at=null(),
        run_at=NOW + bindparam("backoff", type_=Interval), finished_at=case((_given_up, NOW), else_=null()),
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
        state="queued", attempts=func.greatest(jobs.c.attempts - 1, 0), lease_until=null(), enqueued_at=null(),
        run_at=NOW + bindparam("delay", type_=Interval), version=_one_more,
    )
    .returning(jobs.c.id)
)  # fmt: skip

_due = (
    select(jobs.c.tenant_id, jobs.c.id)
    .where(
        jobs.c.queue == bindparam("of_queue", type_=Text), QUEUED, jobs.c.enqueued_at.is_(None),
        jobs.c.run_at <= NOW,
    )
    .order_by(jobs.c.priority, jobs.c.run_at)
    .limit(bindparam("at_most"))
    .with_for_update(skip_locked=True)
    .cte("due")
)  # fmt: skip
ENQUEUE: Statement[Ticket] = Statement(
    update(jobs)
    .where(jobs.c.tenant_id == _due.c.tenant_id, jobs.c.id == _due.c.id)
    .values(enqueued_at=NOW)
    .returning(jobs.c.tenant_id, jobs.c.id),
    Ticket,
)

_stale = (
    select(jobs.c.tenant_id, jobs.c.id)
    .where(
        jobs.c.queue == bindparam("of_queue", type_=Text), QUEUED,
        jobs.c.enqueued_at < NOW - bindparam("patience", type_=Interval),
    )
    .order_by(jobs.c.enqueued_at)
    .limit(bindparam("at_most"))
    .with_for_update(skip_locked=True)
    .cte("stale")
)  # fmt: skip
#: Their messages are gone (or late: a second message does no harm), so they are enqueued anew.
FORGET_ENQUEUED = Statement(
    update(jobs)
    .where(jobs.c.tenant_id == _stale.c.tenant_id, jobs.c.id == _stale.c.id)
    .values(enqueued_at=null())
    .returning(jobs.c.id)
)

_expired = (
    select(jobs.c.tenant_id, jobs.c.id)
    .where(RUNNING, jobs.c.lease_until < NOW)
    .order_by(jobs.c.lease_until)
    .limit(bindparam("at_most"))
    .with_for_update(skip_locked=True)
    .cte("expired")
)
_spent = jobs.c.attempts >= jobs.c.max_attempts
#: The fence rises here already: a worker that wakes up now is refused, whether or not another has begun.
RESCUE = Statement(
    update(jobs)
    .where(jobs.c.tenant_id == _expired.c.tenant_id, jobs.c.id == _expired.c.id)
    .values(
        state=case((_spent, "failed"), else_="queued"), fence=jobs.c.fence + 1, lease_until=null(),
        enqueued_at=null(), run_at=NOW, finished_at=case((_spent, NOW), else_=null()), error_code="worker-lost",
        error_detail=literal("The worker ended or stalled during attempt ") + cast(jobs.c.attempts, Text) + ".",
        version=_one_more,
    )
    .returning(jobs.c.queue, jobs.c.kind, jobs.c.state)
)  # fmt: skip

BACKLOG: Statement[Backlog] = Statement(
    select(jobs.c.queue, func.count(), NOW - func.min(jobs.c.run_at))
    .where(QUEUED, jobs.c.run_at <= NOW)
    .group_by(jobs.c.queue),
    Backlog,
)
FAILED = Statement(
    select(jobs.c.queue, func.count()).where(jobs.c.state == literal_column("'failed'")).group_by(jobs.c.queue)
)
