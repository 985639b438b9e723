"""Imports over HTTP: send the rows, get a job."""

from hashlib import sha256

from litestar import Router, post
from litestar.types import HTTPReceiveMessage, WebSocketReceiveMessage

from db.errors import DomainError
from erp.exchange.imports.registry import IMPORTABLE
from erp.exchange.imports.schemas import ImportView
from erp.exchange.imports.service import Rows, accept_import
from erp.http.answers import Reply
from erp.http.body import MAX_BODY
from erp.http.bulk import BulkRow
from erp.http.commands import Command, answer_reply, encode_json, problem_answer
from erp.http.errors import ClientDisconnected, PayloadTooLarge, UnsupportedMediaType
from erp.http.idempotency import idempotency_of
from erp.http.ndjson import read_lines
from erp.http.parameters import refuse_unknown_parameters
from erp.http.request import ApiRequest
from erp.http.stream import NDJSON
from erp.kernel.errors import Invalid, LimitExceeded, NotFound
from tenancy.database import Answer
from tenancy.work import UnitOfWork

PERMISSION = "imports:write"
#: What one import may hold: it is stored in one transaction.
MAX_ROWS = 50_000
MAX_BYTES = 16 * MAX_BODY

COMMANDS: tuple[Command, ...] = ()


@post(
    "/imports/{resource:str}", status_code=202, summary="Import records in the background",
    opt={"request_lines": BulkRow},
)  # fmt: skip
async def start_import(request: ApiRequest, resource: str) -> Reply[ImportView]:
    """Newline-delimited JSON, one `{"key": ..., "data": ...}` per row, as for `/v1/bulk`; at most 50,000 rows.

    Answers at once with an operation that books the rows one after the other, in their order, and can be followed
    and cancelled. `GET /v1/jobs/{id}` shows the rows that were refused. Interrupted imports go on where they were;
    sending a row again under its key never books it twice.
    """
    command = IMPORTABLE.get(resource.replace("-", "_"))
    if command is None:
        raise NotFound("There is no such resource to import.")
    caller = request.caller
    caller.require(PERMISSION)
    caller.require(command.permission)
    refuse_unknown_parameters(request)
    _check_headers(request)
    rows, digest = await _read(request)
    idempotency = idempotency_of(request, "accepted", digest)
    path, name = request.scope["path"], command.resource

    async def run(work: UnitOfWork) -> ImportView:
        return await accept_import(work, name, rows)

    def encode(view: ImportView) -> Answer:
        return Answer(202, encode_json(view), {"Location": view.operation})

    def encode_error(error: DomainError) -> Answer:
        return problem_answer(error, path, caller.correlation_id)

    return answer_reply(request, await request.database.answer(caller, run, encode, idempotency, None, encode_error))


def _check_headers(request: ApiRequest) -> None:
    headers = request.context.headers
    media = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if media != NDJSON or headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise UnsupportedMediaType("The body must be application/x-ndjson in UTF-8, not compressed.")


async def _read(request: ApiRequest) -> tuple[Rows, bytes]:
    """The rows and a digest of them. Raises LimitExceeded, PayloadTooLarge, Invalid, ClientDisconnected."""
    rows: list[tuple[int, bytes]] = []
    digest, size = sha256(), 0
    broken_off = False

    async def receive() -> HTTPReceiveMessage | WebSocketReceiveMessage:
        nonlocal broken_off
        message = await request.receive()
        broken_off = broken_off or message["type"] == "http.disconnect"
        return message

    async for number, content in read_lines(receive, MAX_BODY):
        if content is None:
            raise PayloadTooLarge(f"Line {number} is longer than 1 MiB.", line=number, maximum_bytes=MAX_BODY)
        size += len(content)
        if len(rows) >= MAX_ROWS or size > MAX_BYTES:
            raise LimitExceeded(
                "An import has at most 50,000 rows and 16 MiB; send several.", maximum_rows=MAX_ROWS,
                maximum_bytes=MAX_BYTES,
            )  # fmt: skip
        rows.append((number, content))
        digest.update(content + b"\n")
    if broken_off:
        raise ClientDisconnected  # half a file is no import
    if not rows:
        raise Invalid("There is no row in the body.")
    return rows, digest.digest()


router = Router("/v1", route_handlers=[start_import], tags=["Imports"])
