"""Sagas nobody works on any more get a job: theirs failed, was discarded, or killed its workers."""

from typing import Any

from sqlalchemy import ColumnElement, Text, and_, cast, exists, func, literal_column, select
from sqlalchemy.dialects.postgresql import insert

from db.statement import Statement
from erp.fulfilment.models import saga_runs
from erp.fulfilment.service import JOB_KIND, QUEUE
from erp.jobs.models import jobs
from tenancy.platform import PlatformSession
from tenancy.trail import events
from workers.repository import NOW

# Written out, not parameters: they are the condition of an index.
_UNFINISHED: ColumnElement[bool] = literal_column("saga_runs.state IN ('running', 'compensating', 'needs_operator')")
_GOING: ColumnElement[bool] = literal_column("saga_runs.state IN ('running', 'compensating')")
_name: Any = literal_column("'saga:'") + cast(saga_runs.c.id, Text)

#: What the saga said last, which the job goes on from: every change of a saga is an event of its version.
_said_last = (
    events.c.tenant_id == saga_runs.c.tenant_id, events.c.aggregate_id == saga_runs.c.id,
    events.c.version == saga_runs.c.version,
)  # fmt: skip

#: At most one such job a saga is unfinished at a time; two runners of one saga do no harm.
ADD_JOBS = Statement(
    insert(jobs)
    .from_select(
        ["tenant_id", "id", "queue", "kind", "unique_key", "payload", "correlation_id", "causation_id",
         "traceparent"],
        select(
            saga_runs.c.tenant_id, func.gen_random_uuid(), literal_column(f"'{QUEUE}'"),
            literal_column(f"'{JOB_KIND}'"), _name, func.jsonb_build_object("saga_id", saga_runs.c.id),
            saga_runs.c.correlation_id, events.c.event_id, events.c.traceparent,
        ).select_from(saga_runs.outerjoin(events, and_(*_said_last))).where(
            _UNFINISHED, _GOING, func.coalesce(saga_runs.c.retry_at, saga_runs.c.since) < NOW,
            ~exists().where(
                jobs.c.tenant_id == saga_runs.c.tenant_id, jobs.c.id == saga_runs.c.job_id,
                jobs.c.phase == literal_column("'unfinished'"),
            ),
        ).limit(500),
    )
    .on_conflict_do_nothing()
    .returning(jobs.c.id)
)  # fmt: skip

#: How many go on, and how many wait for somebody.
WAITING = Statement(
    select(
        func.count().filter(_GOING),
        func.count().filter(saga_runs.c.state == literal_column("'needs_operator'")),
    )
    .select_from(saga_runs)
    .where(_UNFINISHED)
)


async def ask_for_sagas(session: PlatformSession, slot: object) -> int:
    [added] = await session.load(ADD_JOBS())
    return len(added)
