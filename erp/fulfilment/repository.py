"""Statements on sagas. Whoever writes holds the run's row and the newest fence."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Integer, Text, Uuid, bindparam, cast, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from db.statement import TENANT, Statement, any_of, rows_of
from erp.fulfilment.models import reminder_schedules, saga_runs, saga_steps
from erp.payments.models import payments


class RunRow(NamedTuple):
    """A saga. `attempts`: claims since the last progress, which was at `since`."""

    id: UUID
    kind: str
    subject_type: str
    subject_id: UUID
    state: str
    direction: str
    fence: int
    input: dict[str, Any]
    attempts: int
    since: datetime
    retry_at: datetime | None
    job_id: UUID | None
    error_code: str | None
    error_detail: str | None
    correlation_id: str
    version: int
    created_at: datetime
    finished_at: datetime | None


class StepRow(NamedTuple):
    saga_id: UUID
    n: int
    name: str
    state: str
    key: str
    undo_key: str
    request: dict[str, Any] | None
    undo: dict[str, Any] | None
    result: dict[str, Any] | None
    undo_result: dict[str, Any] | None
    attempts: int
    undo_attempts: int
    error_code: str | None
    error_detail: str | None
    started_at: datetime | None
    finished_at: datetime | None


class Booked(NamedTuple):
    """What our side says of the money of one saga: `captured` less given back, as texts; `booked` in the ledger."""

    saga_id: UUID
    state: str
    currency: str
    captured: str
    refunded: str
    booked: str


RUN_COLUMNS = tuple(saga_runs.c[name] for name in RunRow._fields)
STEP_COLUMNS = tuple(saga_steps.c[name] for name in StepRow._fields)
_this_run = (saga_runs.c.tenant_id == TENANT, saga_runs.c.id == bindparam("saga_id", type_=Uuid))

ADD_RUN: Statement[tuple[()]] = Statement(
    insert(saga_runs).values(
        tenant_id=TENANT, id=bindparam("id"), kind=bindparam("kind"), subject_type=bindparam("subject_type"),
        subject_id=bindparam("subject_id"), input=bindparam("input"), job_id=bindparam("job_id"),
        correlation_id=bindparam("correlation_id"), created_at=bindparam("created_at"),
    )
)  # fmt: skip
_step = rows_of(ns=Integer, names=Text, keys=Text, undo_keys=Text)
ADD_STEPS: Statement[tuple[()]] = Statement(
    insert(saga_steps).from_select(
        ["tenant_id", "saga_id", "n", "name", "key", "undo_key"],
        select(cast(TENANT, Uuid), cast(bindparam("saga_id"), Uuid), *_step.c),
    )
)
LOCK_RUN: Statement[RunRow] = Statement(select(*RUN_COLUMNS).where(*_this_run).with_for_update(), RunRow)
RUN: Statement[RunRow] = Statement(select(*RUN_COLUMNS).where(*_this_run), RunRow)
STEPS: Statement[StepRow] = Statement(
    select(*STEP_COLUMNS)
    .where(saga_steps.c.tenant_id == TENANT, saga_steps.c.saga_id == bindparam("saga_id", type_=Uuid))
    .order_by(saga_steps.c.n),
    StepRow,
)
STEPS_OF_RUNS: Statement[StepRow] = Statement(
    select(*STEP_COLUMNS)
    .where(saga_steps.c.tenant_id == TENANT, saga_steps.c.saga_id == any_of("saga_ids", Uuid))
    .order_by(saga_steps.c.saga_id, saga_steps.c.n),
    StepRow,
)
#: Whether the order is fulfilled by a saga, now or already.
RUN_OF_SUBJECT: Statement[RunRow] = Statement(
    select(*RUN_COLUMNS).where(
        saga_runs.c.tenant_id == TENANT, saga_runs.c.kind == bindparam("kind"),
        saga_runs.c.subject_id == bindparam("subject_id", type_=Uuid), saga_runs.c.state != literal("compensated"),
    ),
    RunRow,
)  # fmt: skip

_RUN_CHANGES = (
    "state", "direction", "fence", "attempts", "since", "retry_at", "job_id", "error_code", "error_detail",
    "version", "finished_at",
)  # fmt: skip
#: `held` is the fence the writer holds; nothing comes back when it is no longer the newest.
SAVE_RUN = Statement(
    update(saga_runs)
    .where(*_this_run, saga_runs.c.fence == bindparam("held"))
    .values({name: bindparam(f"new_{name}", type_=saga_runs.c[name].type) for name in _RUN_CHANGES})
    .returning(saga_runs.c.id)
)
_STEP_CHANGES = (
    "state", "undo_key", "request", "undo", "result", "undo_result", "attempts", "undo_attempts", "error_code",
    "error_detail", "started_at", "finished_at",
)  # fmt: skip
#: The fence is looked at where the step's write lands, not only where the run was read.
SAVE_STEP = Statement(
    update(saga_steps)
    .where(
        saga_steps.c.tenant_id == TENANT, saga_steps.c.saga_id == bindparam("saga_id", type_=Uuid),
        saga_steps.c.n == bindparam("step_n"),
        select(saga_runs.c.fence).where(*_this_run).scalar_subquery() == bindparam("held"),
    )
    .values({name: bindparam(f"new_{name}", type_=saga_steps.c[name].type) for name in _STEP_CHANGES})
    .returning(saga_steps.c.n)
)  # fmt: skip

ADD_REMINDER = Statement(
    upsert(reminder_schedules)
    .values(
        tenant_id=TENANT, id=bindparam("id"), invoice_id=bindparam("invoice_id"), remind_on=bindparam("remind_on"),
        created_at=bindparam("created_at"),
    )
    .on_conflict_do_nothing()
    .returning(reminder_schedules.c.id)
)  # fmt: skip

_capture, _authorised = saga_steps.alias("capture"), saga_steps.alias("authorised")
_booked = (
    select(func.coalesce(func.sum(payments.c.amount), 0))
    .where(
        payments.c.tenant_id == TENANT, payments.c.state == literal("posted"),
        payments.c.external_id == literal("saga:") + cast(saga_runs.c.id, Text),
    )
    .scalar_subquery()
)  # fmt: skip
#: Our side of the money, saga by saga in the order of their ids: what the steps say and what the ledger says.
MONEY: Statement[Booked] = Statement(
    select(
        saga_runs.c.id, saga_runs.c.state, func.coalesce(_authorised.c.request["currency"].astext, ""),
        func.coalesce(_capture.c.result["amount"].astext, "0"),
        func.coalesce(_capture.c.undo_result["amount"].astext, "0"), cast(_booked, Text),
    )
    .join(
        _capture,
        (_capture.c.tenant_id == saga_runs.c.tenant_id) & (_capture.c.saga_id == saga_runs.c.id)
        & (_capture.c.name == literal("capture")),
    )
    .join(
        _authorised,
        (_authorised.c.tenant_id == saga_runs.c.tenant_id) & (_authorised.c.saga_id == saga_runs.c.id)
        & (_authorised.c.name == literal("authorise")),
    )
    .where(saga_runs.c.tenant_id == TENANT, saga_runs.c.id > bindparam("after", type_=Uuid))
    .order_by(saga_runs.c.id)
    .limit(bindparam("at_most", type_=Integer)),
    Booked,
)  # fmt: skip


def run_changes(row: RunRow) -> dict[str, Any]:
    return {f"new_{name}": getattr(row, name) for name in _RUN_CHANGES}


def step_changes(row: StepRow) -> dict[str, Any]:
    return {f"new_{name}": getattr(row, name) for name in _STEP_CHANGES}
