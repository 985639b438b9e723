"""The statement that feeds the queues: every tenant with waiting jobs in its turn, whoever has most of them.

It must cost the same whatever waits and whatever statistics believe (see ADR 0007). From lane to lane (the waiting
jobs of one tenant and priority) is one descent of the index of waiting jobs: looked for by rows, `(queue, tenant_id,
priority) > ...`, ordered by the queue first, so that no other index can serve.
"""

from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Text,
    Uuid,
    and_,
    bindparam,
    cast,
    false,
    func,
    literal_column,
    null,
    or_,
    select,
    true,
    tuple_,
    union_all,
    update,
)

from db.statement import Statement, rows_of
from erp.jobs.models import jobs
from workers.repository import ENQUEUED, NOW, QUEUED, RUNNING, TO_ENQUEUE, places
from workers.tempo import Busy

#: Waiting jobs one turn looks at per queue, to find the next ones in order.
_LOOKED_AT = 2_000
#: A message nobody has claimed for so long does not count against its tenant's cap: its job may be of a kind no
#: worker here knows.
_CLAIMED_SOON: ColumnElement[Any] = literal_column("interval '10 seconds'")
_HIGHEST_TENANT: ColumnElement[Any] = literal_column("'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid")
_HIGHEST_PRIORITY: ColumnElement[Any] = literal_column("2147483647")


class Fed(NamedTuple):
    """A job that gets a message; without an id: the last lane looked at, because there were more.

    `alone`: it may be long, or has not come through with others; it shares its message with nobody.
    """

    queue: str
    tenant_id: UUID
    id: UUID | None
    alone: bool


_room = rows_of(queues=Text, at_mosts=Integer, caps=Integer, afters=Uuid, shares=Integer)
_short = rows_of(short_queues=Text, short_tenants=Uuid)
_own_caps = rows_of(capped_queues=Text, capped_tenants=Uuid, own_caps=Integer)
_lane = tuple_(jobs.c.queue, jobs.c.tenant_id, jobs.c.priority)


def _head(after: tuple[ColumnElement[Any], ...], queue: ColumnElement[Any]) -> FromClause:
    """The first waiting job of the next lane."""
    return (
        select(jobs.c.tenant_id, jobs.c.priority, jobs.c.run_at)
        .where(TO_ENQUEUE, _lane > tuple_(*after), _lane <= tuple_(queue, _HIGHEST_TENANT, _HIGHEST_PRIORITY))
        .order_by(jobs.c.queue, jobs.c.tenant_id, jobs.c.priority, jobs.c.run_at)
        .limit(literal_column("1"))
        .lateral("head")
    )


_first = _head((_room.c.queues, _room.c.afters, _HIGHEST_PRIORITY), _room.c.queues)
_lanes = (
    select(_room.c.queues.label("queue"), _first.c.tenant_id, _first.c.priority, _first.c.run_at,
           literal_column("1").label("number"))
    .select_from(_room.join(_first, true()))
    .cte("lanes", recursive=True)
)  # fmt: skip
_before = _lanes.alias("before")
_next = _head((_before.c.queue, _before.c.tenant_id, _before.c.priority), _before.c.queue)
_lanes = _lanes.union_all(
    select(
        _before.c.queue, _next.c.tenant_id, _next.c.priority, _next.c.run_at, _before.c.number + literal_column("1")
    )
    .select_from(_before.join(_next, true()))
    .where(_before.c.number < cast(bindparam("lanes"), Integer))
)  # fmt: skip

#: What the tenants have under way already: in Redis or with a worker, and of it what counts against a cap.
_busy = (
    select(
        jobs.c.queue, jobs.c.tenant_id, func.count().label("jobs"),
        func.count().filter(or_(RUNNING, jobs.c.enqueued_at > NOW - _CLAIMED_SOON)).label("held"),
    )
    .where(ENQUEUED)
    .group_by(jobs.c.queue, jobs.c.tenant_id)
    .cte("busy")
)  # fmt: skip

#: A job that has run for so long is long, whatever the others take; a commit that stalls is not.
_LONG: ColumnElement[Any] = literal_column("interval '1 second'")
#: What every tenant has under way, in all queues: a few rows more than wait in Redis and run.
BUSY: Statement[Busy] = Statement(
    select(
        jobs.c.queue, jobs.c.tenant_id, func.count(), func.count().filter(RUNNING),
        func.count().filter(and_(RUNNING, jobs.c.started_at < NOW - _LONG)),
    )
    .where(ENQUEUED)
    .group_by(jobs.c.queue, jobs.c.tenant_id),
    Busy,
)  # fmt: skip

_ready = (
    select(_lanes, _room.c.at_mosts, func.count().over(partition_by=_lanes.c.queue).label("beside"))
    .select_from(_lanes.join(_room, _room.c.queues == _lanes.c.queue))
    .where(_lanes.c.run_at <= NOW)
    .subquery("ready")
)
_share = func.greatest(literal_column("1"), literal_column(str(_LOOKED_AT), Integer) // _ready.c.beside)
#: Compared column by column: the end of a range of rows is only seen at the end of the queue.
_waiting = (
    select(
        jobs.c.id, literal_column("jobs.ctid").label("place"), jobs.c.run_at,
        or_(jobs.c.operation, jobs.c.attempts > literal_column("0")).label("alone"),
    )
    .where(
        TO_ENQUEUE, QUEUED, jobs.c.queue == _ready.c.queue, jobs.c.tenant_id == _ready.c.tenant_id,
        jobs.c.priority == _ready.c.priority, jobs.c.run_at <= NOW,
    )
    .order_by(jobs.c.run_at)
    .limit(func.least(_ready.c.at_mosts, _share))
    .lateral("waiting")
)  # fmt: skip
_due = (
    select(
        _ready.c.queue, _ready.c.tenant_id, _ready.c.priority, _waiting.c.id, _waiting.c.place, _waiting.c.run_at,
        _waiting.c.alone,
        func.row_number()
        .over(partition_by=(_ready.c.queue, _ready.c.tenant_id), order_by=(_ready.c.priority, _waiting.c.run_at))
        .label("number"),
    )
    .select_from(_ready.join(_waiting, true()))
    .cte("due")
)  # fmt: skip

_cap = func.coalesce(_own_caps.c.own_caps, _room.c.caps)
_holds = func.coalesce(_busy.c.held, 0) + _due.c.number
_of_short = (
    select(_short.c.short_tenants)
    .where(_short.c.short_queues == _due.c.queue, _short.c.short_tenants == _due.c.tenant_id)
    .exists()
)
#: The n-th job of a tenant that has m under way stands at n + m: places are shared out evenly, and a tenant that
#: comes with its first job stands before everybody who has one already.
_in_turn = (
    select(
        _due.c.queue, _due.c.tenant_id, _due.c.id, _due.c.place, _due.c.alone, _room.c.at_mosts,
        func.row_number()
        .over(
            partition_by=_due.c.queue,
            order_by=(func.coalesce(_busy.c.jobs, 0) + _due.c.number, _due.c.priority, _due.c.run_at),
        )
        .label("turn"),
    )
    .select_from(
        _due.join(_room, _room.c.queues == _due.c.queue)
        .outerjoin(_busy, and_(_busy.c.queue == _due.c.queue, _busy.c.tenant_id == _due.c.tenant_id))
        .outerjoin(
            _own_caps,
            and_(_own_caps.c.capped_queues == _due.c.queue, _own_caps.c.capped_tenants == _due.c.tenant_id),
        )
    )
    .where(
        or_(_cap == 0, _holds <= _cap), or_(_room.c.shares == 0, _holds <= _room.c.shares, _of_short)
    )
    .cte("in_turn")
)  # fmt: skip
_chosen = select(_in_turn).where(_in_turn.c.turn <= _in_turn.c.at_mosts).cte("chosen")
#: Found by their place alone: with all of its condition named, an index of the queue could serve, all of it.
_tickets = (
    select(literal_column("jobs.ctid").label("place"))
    .select_from(jobs)
    .where(places(_chosen), jobs.c.enqueued_at.is_(None), QUEUED)
    .with_for_update(skip_locked=True)
    .cte("tickets")
)
_marked = update(jobs).where(places(_tickets)).values(enqueued_at=NOW).returning(jobs.c.id).cte("marked")
_fed = union_all(
    select(_chosen.c.queue, _chosen.c.tenant_id, _chosen.c.id, _chosen.c.alone, _chosen.c.turn).where(
        _chosen.c.place == func.any(func.array(select(_tickets.c.place).scalar_subquery()))
    ),
    select(
        _lanes.c.queue, _lanes.c.tenant_id, cast(null(), Uuid), false(), cast(literal_column("0"), BigInteger)
    ).where(_lanes.c.number == cast(bindparam("lanes"), Integer)),
).subquery("fed")
#: Marks the jobs that get a message, in all queues at once, as many as each has room for.
#: `caps`: what each tenant may have under way in a queue, 0 for any number; `own_caps` hides it for some tenants.
#: `shares`: the same for what is not short; `short_queues` and `short_tenants` say whose jobs are.
#: `lanes`: looked at per queue, from the one after the tenant `afters` on.
ENQUEUE: Statement[Fed] = Statement(
    select(_fed.c.queue, _fed.c.tenant_id, _fed.c.id, _fed.c.alone).order_by(_fed.c.turn).add_cte(_marked), Fed
)
