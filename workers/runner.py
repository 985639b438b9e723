"""Runs one job: claim, work under a lease, record the end. At least once; its effects behind a fence."""

import asyncio
import random
import time
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from db.errors import DomainError
from db.statement import Bound
from fleet.logging import get_logger
from fleet.metrics import (
    job_duration_seconds,
    job_retries_total,
    job_wait_seconds,
    jobs_put_back_total,
    jobs_running,
    jobs_total,
)
from fleet.redaction import redact_text
from fleet.scope import scoped
from fleet.tracing import extract, span, valid_traceparent
from tenancy.caller import TenantFacts, system_caller
from tenancy.database import TenantDatabase
from tenancy.metering import Metering
from tenancy.platform import PlatformDatabase
from workers.caps import RunningCaps
from workers.claim import Claim, TenantRow
from workers.context import Fenced, GiveUp, JobContext, Later
from workers.gathering import Gathering
from workers.heart import Attempt, Heart
from workers.kinds import JobKind
from workers.operation import Cancelled
from workers.quarantine import PATIENCE, Quarantine
from workers.repository import (
    CLAIM,
    CLAIM_BELOW_CAP,
    CLAIM_TOGETHER,
    FAIL,
    FINISH,
    HAND_BACK,
    PUT_BACK,
    STOP,
    TAKE_TURN,
)
from workers.settings import WorkerSettings

log = get_logger("workers.runner")

#: Characters of a traceback that are kept: its end says what happened.
_TRACEBACK = 8_000
_DETAIL = 1_000
#: How long a job of a suspended tenant rests before it is looked at again.
_SUSPENDED_REST = timedelta(minutes=10)
#: Seconds to keep trying to record an end; after that the lease's expiry does it.
_RECORD_PATIENCE = 10.0


_OUTAGES = (psycopg.OperationalError, DomainError, OSError, TimeoutError)

T = TypeVar("T")


class End(NamedTuple):
    """A job that is done, under the fence it was claimed with."""

    tenant_id: UUID
    id: UUID
    fence: int
    outcome: Jsonb | None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed. `final`: no further attempt."""

    code: str
    detail: str
    trace: str
    final: bool = False


class Runner:
    """Runs jobs of the known kinds for one worker process."""

    def __init__(
        self,
        platform: PlatformDatabase,
        database: TenantDatabase,
        heart: Heart,
        kinds: Mapping[str, JobKind],
        settings: WorkerSettings,
        metering: Metering,
    ) -> None:
        self._metering = metering
        self._platform = platform
        self._database = database
        self._heart = heart
        self._kinds = kinds
        self._settings = settings
        self._caps = RunningCaps()
        self._quarantine = Quarantine()
        self._ends = Gathering(self._finish_together)

    async def run(self, tenant_id: UUID, *job_ids: UUID) -> None:
        """One attempt of each that wants one now, side by side. Never raises because a job failed.

        What is claimed begins at once: nothing is held, or loses an attempt with its worker, that has not begun. Only
        what was lost with a worker waits first, a little, for the others to end.
        """
        await self._quarantine.enter(len(job_ids))
        try:
            together = await self._claim_together(tenant_id, job_ids)
        except BaseException:
            self._quarantine.leave(len(job_ids))
            raise
        # What was not claimed with the others wants an attempt by itself, or none.
        works = [
            self._begin(*together.pop(one)) if one in together else self._run_one(tenant_id, one) for one in job_ids
        ]
        await side_by_side([self._counted(work) for work in works])

    async def _counted(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        finally:
            self._quarantine.leave()

    async def _run_one(self, tenant_id: UUID, job_id: UUID) -> None:
        for claim, tenant in await self._claim(tenant_id, job_id):
            if not claim.lost:
                await self._begin(claim, tenant)
            elif self._quarantine.taken:
                await self._hand_back(claim, timedelta(seconds=random.uniform(0, PATIENCE)))
            else:
                async with self._quarantine.alone():
                    await self._begin(claim, tenant)

    async def _begin(self, claim: Claim, tenant: TenantRow) -> None:
        with (
            scoped(
                tenant=str(claim.tenant_id), principal="system", correlation_id=claim.correlation_id or str(claim.id),
                traceparent=valid_traceparent(claim.traceparent or ""),
            ),
            span(
                f"job {claim.kind}", kind="consumer", parent=extract({"traceparent": claim.traceparent or ""}),
                job_id=str(claim.id), attempt=claim.attempts, queue=claim.queue,
            ),
        ):  # fmt: skip
            if tenant.state == "active":
                await self._attempt(claim, tenant)
            elif tenant.state == "closed":
                await self._fail(claim, Failure("tenant-closed", "The tenant is closed.", "", final=True))
            else:
                await self._hand_back(claim, _SUSPENDED_REST)

    async def _claim(self, tenant_id: UUID, job_id: UUID) -> list[tuple[Claim, TenantRow]]:
        job: dict[str, Any] = {"tenant": tenant_id, "job_id": job_id, "kinds": list(self._kinds)}
        lease = timedelta(seconds=self._settings.job_lease)
        if not (caps := self._caps.of_tenant(tenant_id)):
            [claimed] = await self._patiently(CLAIM(**job, lease=lease))
            return claimed
        claim = CLAIM_BELOW_CAP(**job, lease=lease, queues=list(caps), caps=list(caps.values()))
        _, claimed, put_back = await self._patiently(TAKE_TURN(tenant=tenant_id), claim, PUT_BACK(**job))
        for (queue,) in put_back:
            jobs_put_back_total.at(queue).inc()
        return claimed

    async def _claim_together(self, tenant_id: UUID, job_ids: Sequence[UUID]) -> dict[UUID, tuple[Claim, TenantRow]]:
        """Nothing when it cannot be done: then one by one, so that a locked row keeps nobody else waiting."""
        if len(job_ids) == 1 or self._caps.of_tenant(tenant_id):
            return {}
        lease = timedelta(seconds=self._settings.job_lease)
        try:
            [claimed] = await self._platform.ask(
                CLAIM_TOGETHER(tenant=tenant_id, job_ids=sorted(job_ids), kinds=list(self._kinds), lease=lease)
            )
        except _OUTAGES:
            return {}
        return {claim.id: (claim, tenant) for claim, tenant in claimed}

    async def _attempt(self, claim: Claim, row: TenantRow) -> None:
        job_wait_seconds.at(claim.queue).observe(max(0.0, claim.waited.total_seconds()))
        if claim.attempts > 1:
            job_retries_total.at(claim.queue, claim.kind).inc()
        tenant = TenantFacts(**row._asdict())
        caller = system_caller(
            tenant, name=f"job:{claim.kind}", correlation_id=claim.correlation_id or str(claim.id),
            causation_id=claim.causation_id,
        )  # fmt: skip
        context = JobContext(claim, caller, self._database)
        kind = self._kinds[claim.kind]
        started = time.monotonic()
        with jobs_running.at(claim.queue).track_inprogress(), job_duration_seconds.at(claim.queue, claim.kind).time():
            attempt = Attempt(claim, kind.run(context), self._settings.job_lease, context.operation)
            async with self._heart.keeping(attempt):
                await self._let_it_work(attempt, kind.time_limit)
                await context.operation.finish()
                outcome = await self._record(attempt, context, kind)
        self._metering.job(tenant, time.monotonic() - started)
        jobs_total.at(claim.queue, claim.kind, outcome).inc()

    async def _let_it_work(self, attempt: Attempt, time_limit: float) -> None:
        try:
            await asyncio.wait([attempt.task], timeout=time_limit)
        except asyncio.CancelledError:  # the process is told to end now
            attempt.stop("handed_back")
        attempt.stop("timed_out")
        await asyncio.wait([attempt.task])

    async def _record(self, attempt: Attempt, context: JobContext, kind: JobKind) -> str:
        """Write how the attempt ended; the outcome as the metric `jobs_total` names it."""
        claim, task = attempt.claim, attempt.task
        error = TimeoutError(f"longer than {kind.time_limit:g} s") if task.cancelled() else task.exception()
        if context.completed:
            return "done"
        if error is None:
            return await self._finish(claim, task.result())
        if attempt.why == "fenced" or isinstance(error, Fenced):
            log.warning("the job belongs to another worker now", job=str(claim.id), kind=claim.kind)
            return "fenced"
        if isinstance(error, Cancelled):
            return await self._stop(claim, error.result)
        if isinstance(error, Later):
            await self._hand_back(claim, error.delay)
            return "put_off"
        if attempt.why == "handed_back":
            await self._hand_back(claim, timedelta(0))
            return "failed"
        return await self._fail(claim, failure_of(error))

    async def _finish(self, claim: Claim, result: Mapping[str, Any] | None) -> str:
        end = End(claim.tenant_id, claim.id, claim.fence, None if result is None else Jsonb(dict(result)))
        return "done" if await self._patient(lambda: self._ends.ask(end), otherwise=False) else "fenced"

    async def _finish_together(self, ends: Sequence[End]) -> list[bool]:
        """Of each, whether it was still this worker's to end."""
        # In one order, as the heart renews them: nobody waits in a circle.
        due = sorted(ends, key=lambda end: end[:2])
        [ended] = await self._platform.ask(
            FINISH(
                tenants=[end.tenant_id for end in due], job_ids=[end.id for end in due],
                fences=[end.fence for end in due], outcomes=[end.outcome for end in due],
            )
        )  # fmt: skip
        found = set(ended)
        return [end[:3] in found for end in ends]

    async def _stop(self, claim: Claim, result: Mapping[str, Any] | None) -> str:
        outcome = None if result is None else Jsonb(dict(result))
        [ended] = await self._patiently(
            STOP(tenant=claim.tenant_id, job_id=claim.id, fence=claim.fence, outcome=outcome)
        )
        return "cancelled" if ended else "fenced"

    async def _fail(self, claim: Claim, failure: Failure) -> str:
        backoff = full_jitter(claim.attempts, self._settings.job_backoff, self._settings.job_backoff_cap)
        [failed] = await self._patiently(
            FAIL(
                tenant=claim.tenant_id, job_id=claim.id, fence=claim.fence, final=failure.final,
                backoff=timedelta(seconds=backoff), code=failure.code, detail=failure.detail, trace=failure.trace,
            )
        )  # fmt: skip
        state = failed[0][0] if failed else None
        log.warning(
            "job attempt failed", job=str(claim.id), kind=claim.kind, attempt=claim.attempts, code=failure.code,
            detail=failure.detail, state=state, trace=failure.trace[-2_000:],
        )  # fmt: skip
        return {"queued": "failed", "failed": "dead", "cancelled": "cancelled"}.get(state or "", "fenced")

    async def _hand_back(self, claim: Claim, delay: timedelta) -> None:
        await self._patiently(HAND_BACK(tenant=claim.tenant_id, job_id=claim.id, fence=claim.fence, delay=delay))

    async def _patiently(self, *statements: Bound[Any]) -> tuple[list[Any], ...]:
        """Their rows; again while the database is away, none when it stays away. All of it may be repeated."""
        return await self._patient(lambda: self._platform.ask(*statements), otherwise=tuple([] for _ in statements))

    async def _patient(self, ask: Callable[[], Awaitable[T]], *, otherwise: T) -> T:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _RECORD_PATIENCE
        for attempt in range(1, 100):
            try:
                return await ask()
            except _OUTAGES as error:
                pause = full_jitter(attempt, 0.1, 2.0)
                if loop.time() + pause > deadline:
                    log.error("the database stayed away", reason=type(error).__name__)
                    break
                await asyncio.sleep(pause)
        return otherwise


async def side_by_side(works: Sequence[Coroutine[Any, Any, None]]) -> None:
    """All of them to their ends; cancelled, each of them is and ends in its own way."""
    tasks = [asyncio.create_task(work) for work in works]
    if not tasks:
        return
    try:
        await asyncio.wait(tasks)
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in tasks:
        task.result()


def full_jitter(attempt: int, base: float, cap: float) -> float:
    """Seconds to wait after the attempt-th failure: anything up to base * 2^(attempt - 1), at most `cap`."""
    return random.uniform(0, min(cap, base * 2 ** (attempt - 1)))


def failure_of(error: BaseException) -> Failure:
    """What the tenant may read of it (`code`, `detail`), and the traceback for whoever runs the service."""
    trace = redact_text("".join(traceback.format_exception(error))[-_TRACEBACK:])
    if isinstance(error, GiveUp):
        return Failure(error.code, error.detail[:_DETAIL], trace, final=True)
    if isinstance(error, DomainError):
        return Failure(error.code, error.detail[:_DETAIL], trace)
    if isinstance(error, TimeoutError):
        return Failure("job-timeout", str(error)[:_DETAIL], trace)
    # The text of any other error may name hosts, statements or other people's data.
    return Failure("internal-error", type(error).__name__, trace)
