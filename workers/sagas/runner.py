"""Runs a saga from wherever it is to where it ends or has to wait. At any moment any number may try.

Before somebody outside is asked, the intention and its compensation are committed. What the answer was is
committed under the saga's fence. Between the two the process may die: whoever goes on looks the key up first.
"""

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar
from uuid import UUID

from db.errors import DomainError
from db.identifiers import new_id
from erp.fulfilment import recording as record
from erp.fulfilment.recording import State, TakenOver
from erp.fulfilment.repository import RunRow, StepRow
from fleet.deadline import Deadline
from fleet.logging import get_logger
from fleet.metrics import saga_step_duration_seconds
from fleet.tracing import span
from tenancy.work import UnitOfWork
from workers.sagas.definition import Facts, Local, Outcome, Outside, Sagas

log = get_logger("workers.sagas")

T = TypeVar("T")
JOB_KIND = "saga"
_ENDED = ("completed", "compensated", "needs_operator")
_DETAIL = 500


class Transact(Protocol):
    """Runs one command in one transaction: `JobContext.step`, or a database's `run`."""

    async def __call__(self, command: Callable[[UnitOfWork], Awaitable[T]], /) -> T: ...


class Waits(Exception):
    """Nothing can be decided now; the saga is looked at again later."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


class SagaRunner:
    """One run of one saga. `edge` is called at every point between two effects (tests die there)."""

    def __init__(self, transact: Transact, sagas: Sagas, edge: Callable[[str], None] = lambda name: None) -> None:
        self._transact = transact
        self._sagas = sagas
        self._edge = edge

    async def run(self, saga_id: UUID) -> str:
        """Go as far as possible; the state it is left in. Raises TakenOver when another runner has taken over."""
        state = await self._transact(lambda work: self._claim(work, saga_id))
        while state is not None and state.run.state not in _ENDED:
            before = state
            try:
                state = await self._advance(before)
            except Waits as waiting:
                error = waiting.error
                state = await self._transact(lambda work: self._wait(work, before, error))  # noqa: B023  # awaited here
                break
        return state.run.state if state is not None else "gone"

    async def _claim(self, work: UnitOfWork, saga_id: UUID) -> State | None:
        """Raise the fence: whoever ran the saga until now can write nothing more."""
        state = await record.read(work, saga_id)
        if state is None or state.run.state in _ENDED:
            return state
        run = state.run._replace(fence=state.run.fence + 1, attempts=state.run.attempts + 1, retry_at=None)
        saved = await record.save(work, state, run, "claimed", attempt=run.attempts)
        if self._exhausted(saved, work.now):
            return await self._stop(work, saved)
        return saved

    # -- one step ---------------------------------------------------------------------------------

    async def _advance(self, state: State) -> State:
        forward, current = state.run.direction == "forward", state.current()
        if current is None:
            return await self._transact(lambda work: self._end(work, state))
        step, started, outcome = self._sagas[state.run.kind].step(current.name), time.perf_counter(), "failed"
        try:
            with span(f"saga {current.name}", saga=str(state.run.id), direction=state.run.direction):
                if isinstance(step, Local):
                    after = await self._local(state, current, step)
                elif forward:
                    after = await self._ask(state, current, step)
                else:
                    after = await self._take_back(state, current, step)
            outcome = "done" if after.run.direction == state.run.direction else "refused"
            return after
        except Waits:
            outcome = "unknown"
            raise
        finally:
            saga_step_duration_seconds.at(current.name, outcome).observe(time.perf_counter() - started)

    async def _local(self, state: State, current: StepRow, step: Local) -> State:
        forward = state.run.direction == "forward"
        self._edge(f"{'' if forward else 'undo-'}{current.name}:before")
        try:
            with Deadline(step.timeout()):
                after = await self._transact(lambda work: self._locally(work, state, current, step))
        except DomainError as refusal:
            if refusal.status >= 500 or refusal.retryable or not forward:
                raise Waits(refusal) from refusal
            code, detail = said(refusal)
            return await self._transact(lambda work: self._turn(work, state, current, code, detail))
        self._edge(f"{'' if forward else 'undo-'}{current.name}:after")
        return after

    async def _locally(self, work: UnitOfWork, state: State, current: StepRow, step: Local) -> State:
        await record.held(work, state)
        if state.run.direction == "forward":
            return await self._done(work, state, current, await step.run(work, state))
        return await self._undone(work, state, current, await step.undo(work, state, current.result or {}))

    async def _ask(self, state: State, current: StepRow, step: Outside) -> State:
        asked_before = current.state == "intended"
        state, current = await self._transact(lambda work: self._intend(work, state, current, step))
        if current.state == "done":  # there was nothing to ask for
            return state
        self._edge(f"{current.name}:intended")
        outcome = await self._outcome(step, current.key, current.request or {}, asked_before, current.name)
        self._edge(f"{current.name}:answered")
        if outcome.accepted:
            after = await self._transact(lambda work: self._record(work, state, current, outcome))
        else:
            after = await self._transact(lambda work: self._turn(work, state, current, outcome.code, "refused"))
        self._edge(f"{current.name}:recorded")
        return after

    async def _take_back(self, state: State, current: StepRow, step: Outside) -> State:
        asked_before = current.state == "undoing"
        state, current = await self._transact(lambda work: self._intend_back(work, state, current))
        self._edge(f"undo-{current.name}:intended")
        if current.undo:
            undo = current.undo
            outcome = await self._outcome(step, current.undo_key, undo, asked_before, f"undo-{current.name}")
            if not outcome.accepted:
                # The refusal is final for this key; whoever tries again asks under another.
                again = current._replace(state="done", undo_key=f"{current.key}:undo:{current.undo_attempts}")
                return await self._transact(lambda work: self._stop(work, state, again, outcome.code))
        else:
            outcome = Outcome(True, {})
        self._edge(f"undo-{current.name}:answered")
        after = await self._transact(lambda work: self._record_back(work, state, current, outcome))
        self._edge(f"undo-{current.name}:recorded")
        return after

    async def _outcome(self, step: Outside, key: str, request: Facts, asked_before: bool, name: str) -> Outcome:
        """A definite answer. What may have been asked already is looked up first, a silence looked into.

        Raises Waits: it may have happened or not, and only asking again under the same key will tell.
        """
        try:
            with Deadline(step.timeout() * 3):
                if asked_before and (known := await step.look_up(key)) is not None:
                    return known
                self._edge(f"{name}:asking")
                try:
                    return await step.ask(key, request)
                except Exception as silence:
                    if (known := await step.look_up(key)) is not None:
                        return known
                    raise Waits(silence) from silence
        except (Waits, TakenOver):
            raise
        except Exception as error:
            raise Waits(error) from error

    # -- what is written ----------------------------------------------------------------------------

    async def _intend(self, work: UnitOfWork, state: State, current: StepRow, step: Outside) -> tuple[State, StepRow]:
        await record.held(work, state)
        if current.state == "planned":
            intention = await step.intend(work, state)
            if intention is None:
                after = await self._done(work, state, current, {"nothing": True})
                return after, current._replace(state="done")
            current = current._replace(
                state="intended", request=intention.request, undo=intention.undo, started_at=work.now
            )
        current = current._replace(attempts=current.attempts + 1)
        return await record.save(work, state, state.run, "intended", current, attempt=current.attempts), current

    async def _intend_back(self, work: UnitOfWork, state: State, current: StepRow) -> tuple[State, StepRow]:
        await record.held(work, state)
        current = current._replace(state="undoing", undo_attempts=current.undo_attempts + 1)
        return await record.save(work, state, state.run, "undoing", current, attempt=current.undo_attempts), current

    async def _record(self, work: UnitOfWork, state: State, current: StepRow, outcome: Outcome) -> State:
        await record.held(work, state)
        return await self._done(work, state, current, outcome.facts)

    async def _record_back(self, work: UnitOfWork, state: State, current: StepRow, outcome: Outcome) -> State:
        await record.held(work, state)
        return await self._undone(work, state, current, outcome.facts)

    async def _done(self, work: UnitOfWork, state: State, current: StepRow, facts: Facts) -> State:
        step = current._replace(
            state="done", result=facts, error_code=None, error_detail=None, finished_at=work.now,
            started_at=current.started_at or work.now, attempts=max(1, current.attempts),
        )  # fmt: skip
        return await record.save(work, state, _progress(state.run, work.now), "step_done", step)

    async def _undone(self, work: UnitOfWork, state: State, current: StepRow, facts: Facts) -> State:
        step = current._replace(state="undone", undo_result=facts, undo_attempts=max(1, current.undo_attempts))
        return await record.save(work, state, _progress(state.run, work.now), "step_undone", step)

    async def _turn(self, work: UnitOfWork, state: State, current: StepRow, code: str, detail: str) -> State:
        """A definite refusal: from here on what was done is taken back."""
        await record.held(work, state)
        step = current._replace(state="refused", error_code=code, error_detail=detail[:_DETAIL], finished_at=work.now)
        run = _progress(state.run, work.now)._replace(
            state="compensating", direction="back", error_code=code, error_detail=detail[:_DETAIL]
        )
        return await record.save(work, state, run, "refused", step, code=code)

    async def _end(self, work: UnitOfWork, state: State) -> State:
        await record.held(work, state)
        ended = "completed" if state.run.direction == "forward" else "compensated"
        run = _progress(state.run, work.now)._replace(state=ended, finished_at=work.now, job_id=None)
        return await record.save(work, state, run, ended)

    async def _wait(self, work: UnitOfWork, state: State, error: BaseException) -> State:
        """Leave a job for later, or ask for an operator when it has taken too long."""
        held = await record.read(work, state.run.id)  # what it intended is newer than `state`
        if held is None or held.run.fence != state.run.fence:
            raise TakenOver(f"saga {state.run.id} is no longer at fence {state.run.fence}")
        code, detail = said(error)
        state = replace(held, run=held.run._replace(error_code=code, error_detail=detail))
        if self._exhausted(state, work.now):
            return await self._stop(work, state)
        patience = self._sagas[state.run.kind].patience(state.run.direction)
        longest = min(patience.longest, patience.first * 2 ** min(30, max(0, state.run.attempts - 1)))
        at = work.now + timedelta(seconds=random.uniform(longest / 2, longest))
        log.warning("saga waits", saga=str(state.run.id), attempt=state.run.attempts, code=code, detail=detail)
        run = state.run._replace(retry_at=at, job_id=new_id())
        after = await record.save(work, state, run, "waiting", code=code, attempt=run.attempts)
        work.enqueue(JOB_KIND, {"saga_id": str(run.id)}, run_at=at, job_id=run.job_id)
        return after

    async def _stop(
        self, work: UnitOfWork, state: State, step: StepRow | None = None, code: str | None = None
    ) -> State:
        await record.held(work, state)
        run = state.run._replace(state="needs_operator", retry_at=None, job_id=None)
        if code is not None:
            run = run._replace(error_code=code, error_detail="The compensation was refused.")
        log.error("saga needs an operator", saga=str(run.id), code=run.error_code, direction=run.direction)
        after = await record.save(work, state, run, "needs_operator", step, code=run.error_code)
        await record.alarm(work, after)
        return after

    def _exhausted(self, state: State, now: datetime) -> bool:
        patience = self._sagas[state.run.kind].patience(state.run.direction)
        waited = (now - state.run.since).total_seconds()
        return waited > patience.total and state.run.attempts > patience.attempts


def said(error: BaseException) -> tuple[str, str]:
    """What the tenant may read of it."""
    if isinstance(error, DomainError):
        return error.code, error.detail[:_DETAIL]
    return "internal-error", type(error).__name__


def _progress(run: RunRow, now: Any) -> RunRow:
    return run._replace(attempts=0, since=now, retry_at=None, error_code=None, error_detail=None)
