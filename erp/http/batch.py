"""POST /v1/batch: up to a hundred commands in one transaction, all of them or none."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Router, post
from msgspec import Meta

from db.errors import DomainError
from erp.http.answers import Reply
from erp.http.body import BodyDecoder
from erp.http.commands import Command, answer_reply, encode_json, problem_answer
from erp.http.errors import MissingField, PreconditionRequired
from erp.http.idempotency import idempotency_of
from erp.http.located import located, placed
from erp.http.parameters import refuse_unknown_parameters
from erp.http.request import ApiRequest
from erp.kernel.errors import Invalid, UnknownField
from tenancy.caller import Caller
from tenancy.concurrency import Asked, lock_ahead
from tenancy.database import Answer
from tenancy.work import UnitOfWork

MAX_OPERATIONS = 100


class Reference(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"result": "$from"}):
    """A field of an earlier operation's result: `{"$from": 0}` is the id of the first one."""

    result: Annotated[int, Meta(ge=0, lt=MAX_OPERATIONS)]
    field: str = "id"


class BatchOperation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One command. Anywhere in `data`, and as `target`, a reference may stand for an earlier result."""

    op: Annotated[str, Meta(description="Resource and verb.", examples=["sales_orders.create"])]
    target: UUID | Reference | None = None
    if_match: Annotated[int, Meta(ge=1, description="The version the target must have.")] | None = None
    data: dict[str, Any] | None = None


class BatchInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Operations, run in this order in one transaction."""

    operations: Annotated[list[BatchOperation], Meta(min_length=1, max_length=MAX_OPERATIONS)]


class BatchResult(msgspec.Struct, frozen=True):
    """What the operation's own route would have answered."""

    op: str
    status: int
    data: Any


class BatchView(msgspec.Struct, frozen=True):
    """One result per operation, in the same order."""

    results: list[BatchResult]


@dataclass(frozen=True, slots=True)
class _Step:
    command: Command
    asked: BatchOperation
    pointer: str
    index: int
    #: The decoded input; None while it still holds references.
    data: msgspec.Struct | None


def batch_router(commands: Mapping[str, Command]) -> Router:
    """The route over every command of the application, by name."""

    @post(
        "/batch",
        status_code=200,
        summary="Run several commands in one transaction",
        tags=["Batch and bulk"],
        opt={"key": "required"},
    )
    async def run_batch(request: ApiRequest, data: BatchInput) -> Reply[BatchView]:
        """All operations take effect or none does; a refusal names the operation in `pointer`.

        Each operation needs its own permission. What the operations will lock (orders, documents, stock, open items,
        numbers) is locked ahead, in one order for everybody, so that batches in opposite orders wait for each other
        and go through. Only what hangs on a `$from` is not known ahead and is locked when its turn comes.
        """
        caller = request.caller
        refuse_unknown_parameters(request)
        steps = [_prepare(commands, caller, index, asked) for index, asked in enumerate(data.operations)]
        idempotency = idempotency_of(request, "required", await request.body())
        path = request.scope["path"]

        def encode_error(error: DomainError) -> Answer:
            return problem_answer(placed(error), path, caller.correlation_id)

        try:
            answer = await request.database.answer(
                caller, partial(_run, steps), _encode, idempotency, None, encode_error
            )
        except DomainError as refusal:
            raise placed(refusal) from refusal.__cause__
        return answer_reply(request, answer)

    return Router("/v1", route_handlers=[run_batch])


def _prepare(commands: Mapping[str, Command], caller: Caller, index: int, asked: BatchOperation) -> _Step:
    pointer = f"/operations/{index}"
    with located(pointer, operation=index):
        command = commands.get(asked.op)
        if command is None:
            raise Invalid(f"There is no operation `{asked.op[:64]}`.", pointer="/op", known=sorted(commands))
        caller.require(command.permission)
        if command.target and asked.target is None:
            raise MissingField("This operation needs a target.", pointer="/target")
        if not command.target and asked.target is not None:
            raise UnknownField("This operation has no target.", pointer="/target")
        if command.match == "required" and asked.if_match is None:
            raise PreconditionRequired(pointer="/if_match")
        if command.match == "none" and asked.if_match is not None:
            raise UnknownField("This operation has no version to compare with.", pointer="/if_match")
        data = None if _refers(asked.data) else _decode(command, asked.data)
    return _Step(command, asked, pointer, index, data)


def _decode(command: Command, data: dict[str, Any] | None) -> msgspec.Struct:
    with located("/data"):
        decoded: msgspec.Struct = command.decode.convert(data or {})
        return decoded


async def _run(steps: list[_Step], work: UnitOfWork) -> BatchView:
    results: list[BatchResult] = []
    await lock_ahead(
        work,
        (
            (step.command.claims, Asked(step.asked.target, step.data))
            for step in steps
            if not isinstance(step.asked.target, Reference)
        ),
    )
    for step in steps:
        with located(step.pointer, operation=step.index):
            command, asked = step.command, step.asked
            data = step.data if step.data is not None else _decode(command, _resolved(asked.data, results))
            target = _target(asked.target, results)
            work.expected_version = asked.if_match
            with located("/data", fields_only=True):
                view = await command.bind(target, data)(work)
                # What it queued goes out now: a rule it breaks shows while it is known whose it is.
                await work.load()
        results.append(BatchResult(command.name, command.status if view is not None else 204, view))
    return BatchView(results)


def _encode(view: BatchView) -> Answer:
    return Answer(200, encode_json(view))


# -- references ------------------------------------------------------------------------------------

_reference = BodyDecoder(Reference).convert


def _refers(value: Any) -> bool:
    if isinstance(value, dict):
        return "$from" in value or any(_refers(inner) for inner in value.values())
    return isinstance(value, list) and any(_refers(inner) for inner in value)


def _resolved(data: Any, results: list[BatchResult]) -> Any:
    with located("/data"):
        return _resolve(data, results)


def _resolve(value: Any, results: list[BatchResult]) -> Any:
    """The value with every reference replaced by what it refers to, as it would stand in JSON."""
    if isinstance(value, dict):
        if "$from" in value:
            return _look_up(_reference(value), results)
        return {name: _resolve(inner, results) for name, inner in value.items()}
    return [_resolve(inner, results) for inner in value] if isinstance(value, list) else value


def _target(target: UUID | Reference | None, results: list[BatchResult]) -> UUID | None:
    if not isinstance(target, Reference):
        return target
    with located("/target"):
        found = _look_up(target, results)
        try:
            return msgspec.convert(found, UUID)
        except msgspec.ValidationError:
            raise Invalid(f"The field `{target.field}` of that result is no id.") from None


def _look_up(reference: Reference, results: list[BatchResult]) -> Any:
    view = results[reference.result].data if reference.result < len(results) else None
    if view is None or reference.field not in getattr(view, "__struct_fields__", ()):
        raise Invalid(
            f"There is no earlier result {reference.result} with a field `{reference.field[:64]}`.",
            result=reference.result,
        )
    return msgspec.to_builtins(getattr(view, reference.field))
