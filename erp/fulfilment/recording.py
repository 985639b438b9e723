"""What is written of a saga: always under its row's lock and its newest fence, with an event and an audit entry."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from erp.fulfilment.repository import (
    LOCK_RUN,
    SAVE_RUN,
    SAVE_STEP,
    STEPS,
    RunRow,
    StepRow,
    run_changes,
    step_changes,
)
from erp.jobs.notices import NewNotice, give_notice
from fleet.metrics import distributed_transactions_total
from tenancy.trail import Event
from tenancy.work import UnitOfWork


class TakenOver(Exception):
    """Another runner has the saga now; whatever this one was about to write was rolled back."""


@dataclass(frozen=True, slots=True)
class State:
    """A saga as its runner holds it."""

    run: RunRow
    steps: Sequence[StepRow]

    def result(self, name: str) -> dict[str, Any]:
        """What a step found out; empty while it is not done."""
        return next((step.result or {} for step in self.steps if step.name == name), {})

    def with_step(self, changed: StepRow) -> "State":
        return replace(self, steps=[changed if step.n == changed.n else step for step in self.steps])

    def current(self) -> StepRow | None:
        """What comes next: forward the first step that has not happened, back the last that did, or may have."""
        if self.run.direction == "forward":
            return next((step for step in self.steps if step.state not in ("done", "skipped")), None)
        return next((step for step in reversed(self.steps) if step.state in ("done", "intended", "undoing")), None)


_JSON = ("request", "undo", "result", "undo_result")
_ENDS = ("completed", "compensated", "needs_operator")


async def read(work: UnitOfWork, saga_id: UUID) -> State | None:
    """The saga with its row locked; None when there is none."""
    found, steps = await work.load(LOCK_RUN(saga_id=saga_id), STEPS(saga_id=saga_id))
    return State(found[0], steps) if found else None


async def held(work: UnitOfWork, state: State) -> None:
    """Lock the run. Raises TakenOver when another runner has claimed it since."""
    [found] = await work.load(LOCK_RUN(saga_id=state.run.id))
    if not found or found[0].fence != state.run.fence:
        raise TakenOver(f"saga {state.run.id} is no longer at fence {state.run.fence}")


async def save(
    work: UnitOfWork, state: State, run: RunRow, what: str, step: StepRow | None = None, **facts: Any
) -> State:
    """Write the run and the step, and tell it. Raises TakenOver: nothing of the transaction stays then."""
    run = run._replace(version=state.run.version + 1)
    writes = [SAVE_RUN(saga_id=run.id, held=state.run.fence, **run_changes(run))]
    if step is not None:
        changes = step_changes(step)
        changes |= {f"new_{name}": _json(getattr(step, name)) for name in _JSON}
        writes.insert(0, SAVE_STEP(saga_id=run.id, step_n=step.n, held=state.run.fence, **changes))
    if not all(await work.load(*writes)):
        raise TakenOver(f"saga {run.id} is no longer at fence {state.run.fence}")
    _tell(work, run, what, step, facts)
    after = replace(state, run=run)
    return after.with_step(step) if step is not None else after


def _tell(work: UnitOfWork, run: RunRow, what: str, step: StepRow | None, facts: dict[str, Any]) -> None:
    told = {
        "kind": run.kind, run.subject_type + "_id": str(run.subject_id), "state": run.state,
        "step": step.name if step else None, **facts,
    }  # fmt: skip
    work.publish(Event("fulfilment", run.id, run.version, f"fulfilment.{what}", told))
    work.audit(f"fulfilment.{what}", "fulfilment", run.id, after=told)
    if what in _ENDS:

        async def count() -> None:
            distributed_transactions_total.at("saga", what).inc()

        work.after_commit(count)


async def alarm(work: UnitOfWork, state: State) -> None:
    """A notice to the tenant's people, once for every time the saga stops."""
    run, current = state.run, state.current()
    at = current.name if current is not None else ""
    await give_notice(
        work,
        NewNotice(
            kind="saga_needs_operator", key=f"{run.id}:{run.version}",
            title=f"A fulfilment stopped at {at or 'its end'}: {run.error_detail or 'no answer'}"[:200],
            subject_type="fulfilment", subject_id=run.id,
            data={"step": at, "direction": run.direction, "code": run.error_code},
        ),
    )  # fmt: skip


def _json(value: Any) -> Any:
    return None if value is None else Jsonb(value)
