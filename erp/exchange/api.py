"""A small client of the public API, for the command line's own use: bulk streams, lists, retries."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import msgspec

#: Rows and bytes of one bulk request: its answers must fit into socket buffers while the body is still sent.
ROWS_PER_REQUEST = 60
BYTES_PER_REQUEST = 900_000
#: Rows that are booked together: some tenths of a second, far from what a transaction may take.
ROWS_PER_TRANSACTION = 100
_ATTEMPTS = 8
_NDJSON = {"Content-Type": "application/x-ndjson"}

#: The key of a row and its record, or the record's JSON.
KeyedRow = tuple[str, dict[str, Any] | msgspec.Raw]


class ApiProblem(RuntimeError):
    """The service refused a request; the text is its problem document in one line. `line`: of a stream, from 1."""

    def __init__(self, text: str, line: int | None = None) -> None:
        super().__init__(text)
        self.line = line


@dataclass(frozen=True, slots=True)
class RowAnswer:
    """What became of one row: the record's id, or the problem."""

    key: str
    id: str | None
    problem: dict[str, Any] | None
    replayed: bool

    @property
    def already_there(self) -> bool:
        """Refused because an earlier run booked it: its external id is taken."""
        return self.problem is not None and self.problem.get("code") == "duplicate"


class Api:
    """One tenant's view of the service. Close it when done."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    @classmethod
    def over_tls(cls, url: str, token: str, ca: Path | None, *, connections: int = 8) -> "Api":
        """`ca`: the authority to trust, the machine's own unless given. Raises ApiProblem when it is none."""
        try:
            context = ssl.create_default_context(cafile=str(ca)) if ca else ssl.create_default_context()
        except OSError as error:  # which ssl.SSLError is, too
            raise ApiProblem(f"{ca} is no certificate authority: {error.strerror or error}") from error
        return cls(
            httpx.AsyncClient(
                base_url=url,
                verify=context,
                headers={"Authorization": f"Bearer {token}"},
                timeout=httpx.Timeout(120.0, connect=5.0),
                limits=httpx.Limits(max_connections=connections),
            )
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def get(self, path: str, **parameters: str) -> Any:
        """Raises ApiProblem."""
        return await self._call("GET", path, params=parameters)

    async def post(self, path: str, body: Any, *, key: str | None = None) -> Any:
        """Raises ApiProblem."""
        return await self._call("POST", path, json=body, headers={"Idempotency-Key": key} if key else {})

    async def put(self, path: str, body: Any, *, version: int | None = None) -> Any:
        """With a `version`, only over that one. Raises ApiProblem."""
        headers = {} if version is None else {"If-Match": f'"{version}"'}
        return await self._call("PUT", path, json=body, headers=headers)

    async def patch(self, path: str, body: Any, *, version: int) -> Any:
        """Only of the record as it was read. Raises ApiProblem."""
        return await self._call("PATCH", path, json=body, headers={"If-Match": f'"{version}"'})

    async def every(self, path: str, **parameters: str) -> AsyncIterator[dict[str, Any]]:
        """All records of a list, page by page."""
        cursor: dict[str, str] = {}
        while True:
            page = await self.get(path, limit="200", **parameters, **cursor)
            for record in page["data"]:
                yield record
            if not page["has_more"]:
                return
            cursor = {"cursor": page["next_cursor"]}

    async def bulk(self, resource: str, rows: Sequence[KeyedRow]) -> list[RowAnswer]:
        """Send rows; those refused for the moment are sent again, at most eight times, from the third on singly."""
        answers: dict[str, RowAnswer] = {}
        left = list(rows)
        for attempt in range(_ATTEMPTS):
            for part in [left] if attempt < 3 else [[row] for row in left]:
                for answer in await self._send(resource, part):
                    answers[answer.key] = answer
            left = [row for row in left if _worth_repeating(answers.get(row[0]))]
            if not left:
                break
            await asyncio.sleep(0.1 * 2**attempt)
        return [
            answers.get(key) or RowAnswer(key, None, {"detail": "the stream broke off"}, False) for key, _ in rows
        ]

    async def bulk_together(self, resource: str, rows: Sequence[KeyedRow]) -> list[RowAnswer]:
        """Book all rows in one transaction or none. Raises ApiProblem, which names the row that was refused.

        What was booked is found again, not booked again: the same rows have the same Idempotency-Key.
        """
        body = _lines(rows)
        key = f"bulk:{resource}:{sha256(body).hexdigest()}"
        try:
            reply = await self._reply(
                "POST", f"/v1/bulk/{resource}", params={"mode": "atomic"}, content=body,
                headers={**_NDJSON, "Idempotency-Key": key},
            )  # fmt: skip
        except ApiProblem as problem:
            if problem.line is None:
                raise
            raise ApiProblem(f"{resource} {rows[problem.line - 1][0]}: {problem}", problem.line) from problem
        return _row_answers(reply)

    async def _send(self, resource: str, rows: Sequence[KeyedRow]) -> list[RowAnswer]:
        try:
            reply = await self._client.post(f"/v1/bulk/{resource}", content=_lines(rows), headers=_NDJSON)
        except httpx.TransportError:
            return []
        if reply.status_code in (429, 502, 503, 504):
            await asyncio.sleep(min(float(reply.headers.get("Retry-After", 1)), 30.0))
            return []
        if reply.status_code != 200:
            raise _problem(reply)
        return _row_answers(reply)

    async def _call(self, method: str, path: str, **arguments: Any) -> Any:
        return (await self._reply(method, path, **arguments)).json()

    async def _reply(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """The answer, asked for again while the refusal is one of the moment. Raises ApiProblem."""
        for attempt in range(_ATTEMPTS):
            try:
                reply = await self._client.request(method, path, **arguments)
            except httpx.TransportError as error:
                if attempt == _ATTEMPTS - 1:
                    raise ApiProblem(f"{path}: {error}") from error
                await asyncio.sleep(0.2 * 2**attempt)
                continue
            if _momentary(reply) and attempt < _ATTEMPTS - 1:
                await asyncio.sleep(min(float(reply.headers.get("Retry-After", 1)), 30.0))
                continue
            if reply.is_error:
                raise _problem(reply)
            return reply
        raise ApiProblem(f"{path}: no answer")


def _worth_repeating(answer: RowAnswer | None) -> bool:
    return answer is None or (answer.problem is not None and bool(answer.problem.get("retryable")))


def _momentary(reply: httpx.Response) -> bool:
    """Overload, a limit, or a collision that the service calls worth repeating."""
    if reply.status_code in (429, 503):
        return True
    return reply.status_code == 409 and b'"retryable":true' in reply.content


def _lines(rows: Sequence[KeyedRow]) -> bytes:
    return b"\n".join(msgspec.json.encode({"key": key, "data": data}) for key, data in rows)


def _row_answers(reply: httpx.Response) -> list[RowAnswer]:
    return [_row_answer(line) for line in reply.content.splitlines() if line.strip()]


def _row_answer(line: bytes) -> RowAnswer:
    found = msgspec.json.decode(line)
    return RowAnswer(found["key"] or "", found.get("id"), found.get("problem"), found.get("replayed", False))


def _problem(reply: httpx.Response) -> ApiProblem:
    try:
        problem = reply.json()
    except ValueError:
        return ApiProblem(f"{reply.status_code} {reply.text[:200]}")
    where = f" at {problem['pointer']}" if problem.get("pointer") else ""
    text = f"{reply.status_code} {problem.get('code')}{where}: {problem.get('detail')}"
    return ApiProblem(text, problem.get("line"))
