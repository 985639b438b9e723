"""POST /v1/bulk/{resource}: any number of records in one stream, each with its own key and its own answer.

A row's key is its idempotency key, so a stream that broke off is sent again, from the start or from wherever
the client likes: what was booked is answered again, not booked again.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any, Literal

import msgspec
from litestar import Router, post
from msgspec import Meta

from db.errors import DomainError, Overloaded
from erp.http.answers import Reply
from erp.http.body import MAX_BODY, BodyDecoder
from erp.http.commands import Command, answer_reply, problem_answer
from erp.http.errors import InternalError, PayloadTooLarge, UnsupportedMediaType
from erp.http.idempotency import idempotency_of
from erp.http.located import located, moved, placed
from erp.http.ndjson import Line, read_lines
from erp.http.parameters import refuse_unknown_parameters
from erp.http.problems import as_refusal, problem_body, record_defect
from erp.http.request import ApiRequest
from erp.http.stream import NDJSON, StreamReply
from erp.kernel.errors import LimitExceeded, NotFound
from tenancy.concurrency import Asked, lock_ahead
from tenancy.database import Answer, Idempotency
from tenancy.work import UnitOfWork

#: Rows and bytes of a stream that is booked as a whole.
MAX_ATOMIC_ROWS = 500
MAX_ATOMIC_BYTES = 8 * MAX_BODY

_encode = msgspec.json.Encoder().encode
_canonical = msgspec.json.Encoder(order="deterministic").encode


class BulkRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the request."""

    key: Annotated[
        str,
        Meta(
            pattern=r"^[!-~]{1,200}(?!\n)$", examples=["invoice:536365"],
            description="Yours, unique per resource: the same key and data are never booked twice.",
        ),
    ]  # fmt: skip
    data: dict[str, Any]


class BulkAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the answer. `id` when it was booked, else `problem`; `key` is null for an unreadable line."""

    line: int
    key: str | None
    status: int
    id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    problem: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    replayed: bool = False


class BulkLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the answer: `id` when the row is booked, else `problem`."""

    line: int
    key: str | None
    status: int
    id: str | msgspec.UnsetType = msgspec.UNSET
    problem: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    replayed: bool = False


_decode_row = BodyDecoder(BulkRow)


def bulk_router(commands: Mapping[str, Command]) -> Router:
    """The route over every command named `<resource>.create`."""

    @post(
        "/bulk/{resource:str}", status_code=200, summary="Create records from a stream", tags=["Batch and bulk"],
        opt={"request_lines": BulkRow, "response_lines": True},
    )  # fmt: skip
    async def stream_rows(
        request: ApiRequest, resource: str, mode: Literal["partial", "atomic"] = "partial"
    ) -> Reply[BulkLine]:
        """Newline-delimited JSON in, one answer line per row out.

        `partial` books every row by itself, several at once and in no particular order; `atomic` books all
        rows or none, at most 500, and needs an Idempotency-Key. Answers are streamed while rows still come
        in, so read them while sending.
        """
        caller = request.caller
        command = commands.get(f"{resource.replace('-', '_')}.create")
        if command is None or command.target:
            raise NotFound("There is no such bulk resource.")
        caller.require(command.permission)
        refuse_unknown_parameters(request)
        _check_headers(request)
        job = _Bulk(request, command)
        if mode == "atomic":
            return await job.atomic()
        return job.partial()  # type: ignore[return-value]  # both are answers; this one is not finished yet

    return Router("/v1", route_handlers=[stream_rows])


def _check_headers(request: ApiRequest) -> None:
    headers = request.context.headers
    media = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if media != NDJSON or headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise UnsupportedMediaType("The body must be application/x-ndjson in UTF-8, not compressed.")


def row_identity(command: Command, row: BulkRow) -> Idempotency:
    """The key and fingerprint of a row, by whichever way it comes in: streamed here or imported."""
    fingerprint = sha256(command.name.encode() + b"\n" + _canonical(row.data)).digest()
    return Idempotency(f"bulk:{command.resource}:{row.key}", fingerprint)


def row_answer(view: Any) -> Answer:
    """What is stored for a replay: the id alone, for a document may have thousands of lines."""
    return Answer(201, _encode(view.id))


class _Bulk:
    """One bulk request."""

    def __init__(self, request: ApiRequest, command: Command) -> None:
        self._request = request
        self._command = command
        self._path = request.scope["path"]
        self._correlation_id = request.context.correlation_id

    # -- every row by itself -----------------------------------------------------------------------

    def partial(self) -> StreamReply[BulkLine]:
        stopped = Overloaded("Too many rows in a row failed on our side; send the rest again later.", retry_after=5)
        last = BulkAnswer(line=0, key=None, status=503, problem=self._problem(stopped))
        rows = read_lines(self._request.receive, MAX_BODY)
        return StreamReply(rows, self._book, _encode(last) + b"\n")

    async def _book(self, line: Line) -> tuple[bytes, bool]:
        key: str | None = None
        try:
            row = self._read(line)
            key = row.key
            with located("/data"):
                data = self._command.decode.convert(row.data)
            answer = await self._run(row, data)
        except Exception as error:
            return self._refused(line, key, error)
        self._request.context.wrote(answer.position)
        content = msgspec.Raw(answer.body)
        found = BulkAnswer(
            line=line.number, key=key, status=answer.status, replayed=answer.replayed,
            **{"id" if answer.status < 400 else "problem": content},
        )  # fmt: skip
        return _encode(found) + b"\n", False

    def _read(self, line: Line) -> BulkRow:
        if line.content is None:
            raise PayloadTooLarge("A row has at most 1 MiB.", maximum_bytes=MAX_BODY)
        return _decode_row(line.content)

    async def _run(self, row: BulkRow, data: msgspec.Struct) -> Answer:
        command, identity = self._command, row_identity(self._command, row)
        try:
            return await self._request.database.answer(
                self._request.caller, command.bind(None, data), row_answer, identity, None, self._stored_row
            )
        except DomainError as refusal:
            raise moved(refusal, "/data") from refusal.__cause__

    def _refused(self, line: Line, key: str | None, error: Exception) -> tuple[bytes, bool]:
        refusal = as_refusal(error)
        if isinstance(refusal, InternalError):
            record_defect(error, self._request.scope)
        found = BulkAnswer(line=line.number, key=key, status=refusal.status, problem=self._problem(refusal))
        return _encode(found) + b"\n", refusal.status >= 500

    def _problem(self, refusal: DomainError) -> msgspec.Raw:
        return msgspec.Raw(problem_body(refusal, self._path, self._correlation_id))

    def _stored_row(self, refusal: DomainError) -> Answer:
        return problem_answer(moved(refusal, "/data"), self._path, self._correlation_id)

    def _stored(self, refusal: DomainError) -> Answer:
        return problem_answer(placed(refusal), self._path, self._correlation_id)

    # -- all rows or none --------------------------------------------------------------------------

    async def atomic(self) -> Reply[BulkLine]:
        """Raises the first row's refusal, with its line; nothing is booked then."""
        rows: list[tuple[int, str, msgspec.Struct]] = []
        digest, size = sha256(), 0
        async for line in read_lines(self._request.receive, MAX_BODY):
            size += len(line.content or b"")
            if len(rows) >= MAX_ATOMIC_ROWS or size > MAX_ATOMIC_BYTES:
                raise LimitExceeded("An atomic stream is too long.", maximum_rows=MAX_ATOMIC_ROWS)
            with located("", line=line.number):
                row = self._read(line)
                with located("/data"):
                    rows.append((line.number, row.key, self._command.decode.convert(row.data)))
            digest.update((line.content or b"") + b"\n")
        idempotency = idempotency_of(self._request, "required", digest.digest())

        async def run(work: UnitOfWork) -> list[bytes]:
            answers = []
            await lock_ahead(work, ((self._command.claims, Asked(None, data)) for _, _, data in rows))
            for number, key, data in rows:
                with located("/data", fields_only=True, line=number):
                    view = await self._command.bind(None, data)(work)
                    # What it queued goes out now: a rule it breaks shows while it is known whose it is.
                    await work.load()
                answers.append(
                    _encode(BulkAnswer(line=number, key=key, status=201, id=msgspec.Raw(_encode(view.id))))
                )
            return answers

        def encode(answers: list[bytes]) -> Answer:
            return Answer(200, b"".join(answer + b"\n" for answer in answers))

        try:
            answer = await self._request.database.answer(
                self._request.caller, run, encode, idempotency, None, self._stored
            )
        except DomainError as refusal:
            raise placed(refusal) from refusal.__cause__
        reply = answer_reply(self._request, answer)
        if answer.status < 400:
            reply.raw_headers = [pair for pair in reply.raw_headers if pair[0] != b"content-type"]
            reply.raw_headers.append((b"content-type", NDJSON))
        return reply
