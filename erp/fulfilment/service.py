"""Beginning a fulfilment, and what an operator decides about one that stopped."""

from uuid import UUID

from psycopg.types.json import Jsonb

from db.identifiers import new_id
from erp.fulfilment import recording
from erp.fulfilment.recording import State
from erp.fulfilment.repository import ADD_RUN, ADD_STEPS, RUN, STEPS
from erp.fulfilment.schemas import KIND, CreateFulfilmentInput, FulfilmentView, OperatorInput
from erp.fulfilment.schemas import STEPS as NAMES
from erp.fulfilment.views import fulfilment_view
from erp.kernel.errors import InvalidState, NotFound, UnknownReference
from erp.sales.repository import ORDER
from fleet.metrics import distributed_transactions_total
from tenancy.trail import Event
from tenancy.work import UnitOfWork

#: The kind of job that runs sagas; money waits for nobody.
JOB_KIND = "saga"
QUEUE = "high"
_STARTS = ("draft", "confirmed")


async def create_fulfilment(work: UnitOfWork, data: CreateFulfilmentInput) -> FulfilmentView:
    """All of it written down, nothing of it done: a job does it. Raises InvalidState, AlreadyFulfilled."""
    [orders] = await work.load(ORDER(order_id=data.order_id))
    if not orders:
        raise UnknownReference("There is no such order.", pointer="/order_id", order_id=str(data.order_id))
    if orders[0].state not in _STARTS:
        raise InvalidState(f"The order is {orders[0].state}.", state=orders[0].state, allowed_in=list(_STARTS))
    saga_id = new_id()
    job_id = new_id()
    numbers = range(1, len(NAMES) + 1)
    work.save(
        ADD_RUN(
            id=saga_id, kind=KIND, subject_type="order", subject_id=data.order_id,
            input=Jsonb({"payment_source": data.payment_source}), job_id=job_id,
            correlation_id=work.caller.correlation_id, created_at=work.now,
        ),
        ADD_STEPS(
            saga_id=saga_id, ns=list(numbers), names=list(NAMES), keys=[f"saga:{saga_id}:{n}" for n in numbers],
            undo_keys=[f"saga:{saga_id}:{n}:undo" for n in numbers],
        ),
    )  # fmt: skip
    told = {"kind": KIND, "order_id": str(data.order_id), "number": orders[0].number}
    work.publish(Event("fulfilment", saga_id, 1, "fulfilment.created", told))
    work.audit("fulfilment.create", "fulfilment", saga_id, after=told)
    work.enqueue(JOB_KIND, {"saga_id": str(saga_id)}, queue=QUEUE, job_id=job_id)

    async def count() -> None:
        distributed_transactions_total.at("saga", "started").inc()

    work.after_commit(count)
    [run], steps = await work.load(RUN(saga_id=saga_id), STEPS(saga_id=saga_id))
    return fulfilment_view(run, steps)


async def retry_fulfilment(work: UnitOfWork, saga_id: UUID, data: OperatorInput) -> FulfilmentView:
    """Go on where it stopped. What may have happened already is looked up before it is asked for again."""
    return await _decide(work, await _stopped(work, saga_id), "retried", data.reason)


async def skip_step(work: UnitOfWork, saga_id: UUID, data: OperatorInput) -> FulfilmentView:
    """Leave out the step it stopped at: it was done, or taken back, by hand."""
    state = await _stopped(work, saga_id)
    step = state.current()
    if step is None:
        raise InvalidState("No step is left to be skipped.", state=state.run.state)
    return await _decide(work, state, "skipped", data.reason, skip=True)


async def compensate_fulfilment(work: UnitOfWork, saga_id: UUID, data: OperatorInput) -> FulfilmentView:
    """Take back everything it did, in reverse; also what it may have done."""
    state = await _stopped(work, saga_id)
    return await _decide(work, state, "taken_back", data.reason, direction="back")


async def _stopped(work: UnitOfWork, saga_id: UUID) -> State:
    state = await recording.read(work, saga_id)
    if state is None:
        raise NotFound(fulfilment_id=str(saga_id))
    work.check_version(state.run.version)
    if state.run.state != "needs_operator":
        raise InvalidState(f"The fulfilment is {state.run.state}.", state=state.run.state)
    return state


async def _decide(
    work: UnitOfWork, state: State, what: str, reason: str, *, direction: str | None = None, skip: bool = False
) -> FulfilmentView:
    """Set it going again, under a new fence and with its patience renewed."""
    towards = direction or state.run.direction
    current = state.current() if skip else None
    step = current._replace(state="skipped", finished_at=work.now) if current is not None else None
    run = state.run._replace(
        state="running" if towards == "forward" else "compensating", direction=towards, attempts=0, since=work.now,
        fence=state.run.fence + 1, error_code=None, error_detail=None,
        job_id=new_id(),
    )  # fmt: skip
    after = await recording.save(work, state, run, what, step, reason=reason)
    work.enqueue(JOB_KIND, {"saga_id": str(run.id)}, queue=QUEUE, job_id=run.job_id)
    return fulfilment_view(after.run, after.steps)
