"""From a request to a committed command and its answer: permission, idempotency, version, headers.

A slice declares each of its commands once; the same declaration serves its route, the atomic batch and the
bulk stream.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from db.errors import DomainError
from db.statement import Bound
from db.two_phase import MAIN
from erp.http.answers import Headers, Reply, encode_headers
from erp.http.body import BodyDecoder
from erp.http.idempotency import KeyRule, check_body_headers, idempotency_of
from erp.http.parameters import refuse_unknown_parameters
from erp.http.preconditions import MatchRule, etag, expected_version
from erp.http.problems import PROBLEM_JSON, problem_body
from erp.http.request import ApiRequest
from erp.kernel.errors import NotFound
from tenancy.concurrency import Claims
from tenancy.database import Answer
from tenancy.work import UnitOfWork

T = TypeVar("T")

encode_json = msgspec.json.Encoder().encode


class NoInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a command that takes none: nothing, or an empty object."""


@dataclass(frozen=True, slots=True)
class Command:
    """One write operation.

    `run` is called as `run(work)`, then the target's id when `target`, then the input when there is one;
    the view it returns becomes the answer (None: no content). `key`: whether an Idempotency-Key is required
    (money and stock) or accepted. `match`: whether If-Match is required, accepted or makes no sense. `made_in`:
    the collection where what it makes is found, when that is not the path it is posted to. `claims`: what it will
    lock for its target and input, so that several in one transaction lock in the global order.
    """

    name: str
    run: Callable[..., Awaitable[Any]]
    permission: str
    input: type[msgspec.Struct] | None = None
    status: int = 200
    target: bool = False
    key: KeyRule = "accepted"
    match: MatchRule = "none"
    made_in: str | None = None
    claims: Claims | None = None
    decode: BodyDecoder[Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "decode", BodyDecoder(self.input or NoInput))

    @property
    def resource(self) -> str:
        return self.name.partition(".")[0]

    @property
    def tells_location(self) -> bool:
        """Whether it answers with the address of what it made, or of the operation that makes it (202)."""
        if self.status == 202:
            return self.made_in is not None
        return self.status == 201 and (self.made_in is not None or not self.target)

    def bind(self, target: UUID | None, data: msgspec.Struct | None) -> Callable[[UnitOfWork], Awaitable[Any]]:
        """The command as a function of the unit of work alone. Raises MissingField for a required input."""
        run = self.run
        arguments: tuple[Any, ...] = (target,) if self.target else ()
        if self.input is not None:
            arguments += (self.decode.convert({}) if data is None else data,)

        def command(work: UnitOfWork) -> Awaitable[Any]:
            return run(work, *arguments)

        return command


async def perform(
    request: ApiRequest,
    command: Command,
    data: msgspec.Struct | None = None,
    target: UUID | None = None,
    *,
    database: str = MAIN,
) -> Reply[Any]:
    """Run the command for the caller and answer. Raises DomainError.

    The permission is asked before anything else, so also before an answer is replayed. `database`: where the operator
    has it done; a tenant's commands go where its rows are.
    """
    caller = request.caller
    caller.require(command.permission)
    if database != MAIN:
        caller = replace(caller, tenant=replace(caller.tenant, database=database))
    refuse_unknown_parameters(request)
    body = await request.body()
    if body and command.input is None:
        check_body_headers(request)
        command.decode(body)
    idempotency = idempotency_of(request, command.key, body)
    expected = expected_version(request, command.match)
    path, correlation_id = request.scope["path"], caller.correlation_id

    def encode(view: Any) -> Answer:
        return view_answer(view, command.status, (command.made_in or path) if command.tells_location else None)

    def encode_error(error: DomainError) -> Answer:
        return problem_answer(error, path, correlation_id)

    answer = await request.database.answer(
        caller, command.bind(target, data), encode, idempotency, expected, encode_error
    )
    return answer_reply(request, answer)


async def read(request: ApiRequest, permission: str, *statements: Bound[Any]) -> tuple[list[Any], ...]:
    """The rows of each statement, read after everything the caller has written or was told.

    Raises Forbidden, UnknownField (a query parameter the route does not have) and what reading raises. A
    client that sent a Consistency-Token gets a newer one back.
    """
    caller = request.caller
    caller.require(permission)
    refuse_unknown_parameters(request)
    return await read_rows(request, *statements)


async def look_up(request: ApiRequest, permission: str, wanted: Bound[T]) -> list[T]:
    """The rows of a statement that reads a few of them by key: as `read`, together with others' when many ask."""
    request.caller.require(permission)
    refuse_unknown_parameters(request)
    if b"consistency-token" in request.context.headers:
        [rows] = await read_rows(request, wanted)
        return rows
    return await request.database.look_up(request.caller, wanted, consistency=request.read_position)


async def read_one(request: ApiRequest, permission: str, wanted: Bound[T], **named: object) -> T:
    """The one row there is, as `look_up` reads it. Raises NotFound, which tells what was `named`."""
    found = await look_up(request, permission, wanted)
    if not found:
        facts: dict[str, Any] = {name: str(value) for name, value in named.items()}
        raise NotFound(**facts)
    return found[0]


async def read_rows(request: ApiRequest, *statements: Bound[Any]) -> tuple[list[Any], ...]:
    """The same without asking for a permission or looking at the parameters."""
    context = request.context
    position = request.read_position
    if b"consistency-token" not in context.headers:
        return await request.database.read(request.caller, *statements, consistency=position)
    rows, context.position = await request.database.read_with_position(
        request.caller, *statements, consistency=position
    )
    return rows


def show(view: T) -> Reply[T]:
    """A resource as the answer of a GET, with the ETag of its version."""
    return Reply(encode_json(view), 200, _etag_header(view))


def view_answer(view: Any, status: int, collection_path: str | None) -> Answer:
    """A command's view as a storable answer; `collection_path` is where a created resource then lives."""
    if view is None:
        return Answer(204, b"")
    headers: dict[str, str] = {}
    if (version := getattr(view, "version", None)) is not None:
        headers["ETag"] = etag(version)
    if collection_path is not None and (created := getattr(view, "id", None)) is not None:
        headers["Location"] = getattr(view, "location", None) or f"{collection_path}/{created}"
    return Answer(status, encode_json(view), headers)


def problem_answer(error: DomainError, path: str, correlation_id: str) -> Answer:
    return Answer(error.status, problem_body(error, path, correlation_id))


def answer_reply(request: ApiRequest, answer: Answer) -> Reply[Any]:
    """The answer as sent; its commit position travels through the request's context."""
    request.context.wrote(answer.position)
    headers: Headers = encode_headers(answer.headers)
    if answer.replayed:
        headers.append((b"idempotency-replayed", b"true"))
    media = PROBLEM_JSON if answer.status >= 400 else b"application/json"
    return Reply(answer.body, answer.status, headers, media)


def _etag_header(view: Any) -> Headers:
    version = getattr(view, "version", None)
    return [] if version is None else [(b"etag", b'"%d"' % version)]
