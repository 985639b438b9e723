"""One tenant's view of the public API, as the demonstration needs it: expected answers, refusals and replays."""

import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec

Json = dict[str, Any]

_ATTEMPTS = 10
_LONGEST_WAIT, _LONGEST_RECONNECT = 30.0, 3.0
_PAGES = 10
_TOO_LATE = (
    " An earlier run was interrupted too long ago to be continued, for answers are kept three days; "
    "`erp reset` deletes everything, then it starts afresh."
)


class UnexpectedAnswer(RuntimeError):
    """The service did not answer what the story needs; the text says what was asked and what came back."""


@dataclass(slots=True)
class Pace:
    """Keeps below what the load balancer allows one address a second, instead of running into it."""

    per_second: float
    burst: float
    requests: int = 0
    _free: float = field(init=False)
    _at: float = field(init=False, default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._free = self.burst

    def refused(self) -> None:
        """Somebody else used up the burst: go on at the steady rate."""
        self._free = min(self._free, 0.0)

    def take_turn(self) -> None:
        now = time.monotonic()
        self._free = min(self.burst, self._free + (now - self._at) * self.per_second) - 1.0
        self._at = now
        self.requests += 1
        if self._free < 0:
            time.sleep(-self._free / self.per_second)


@dataclass(frozen=True, slots=True)
class Address:
    """Where the service is, and the authority that signed its certificate."""

    url: str
    authority: Path | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for a request."""

    asked: str
    status: int
    body: Any
    replayed: bool

    @property
    def code(self) -> str:
        """The problem's code, empty for a success."""
        return str(self.body.get("code", "")) if self.status >= 400 and isinstance(self.body, dict) else ""

    @property
    def detail(self) -> str:
        return str(self.body.get("detail") or self.body.get("title") or "") if isinstance(self.body, dict) else ""

    def __str__(self) -> str:
        if self.status < 400:
            return f"{self.asked} was answered with {self.status}."
        pointer = self.body.get("pointer") if isinstance(self.body, dict) else None
        correlation = self.body.get("correlation_id") if isinstance(self.body, dict) else None
        return (
            f"{self.asked} was answered with {self.status} {self.code}: {self.detail}"
            + (f" ({pointer})" if pointer else "")
            + (f" Correlation id {correlation}." if correlation else "")
        )


class Client:
    """Requests of one credential. Close it when done."""

    def __init__(self, address: Address, token: str | None, pace: Pace) -> None:
        trust = ssl.create_default_context(cafile=str(address.authority)) if address.authority else True
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(
            base_url=address.url, verify=trust, headers=headers, trust_env=False, timeout=httpx.Timeout(60, connect=5)
        )
        self._pace = pace

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, **parameters: str) -> Any:
        """Raises UnexpectedAnswer."""
        return _succeeded(self.ask("GET", path, parameters=parameters)).body

    def rows(self, path: str, **parameters: str) -> list[Json]:
        """The newest records of a list, at most ten pages of 200. Raises UnexpectedAnswer."""
        found: list[Json] = []
        cursor: dict[str, str] = {}
        for _ in range(_PAGES):
            page = self.get(path, limit="200", **parameters, **cursor)
            found += page["data"]
            if not page["has_more"]:
                break
            cursor = {"cursor": page["next_cursor"]}
        return found

    def post(self, path: str, body: Json | None = None, *, key: str) -> Any:
        """Raises UnexpectedAnswer."""
        return _succeeded(self.ask("POST", path, body, key=key)).body

    def refused(self, path: str, body: Json, code: str, *, key: str) -> Answer:
        """A request that must be refused with this code. Raises UnexpectedAnswer."""
        answer = self.ask("POST", path, body, key=key)
        if answer.code != code:
            raise UnexpectedAnswer(f"{answer} It should have been refused with `{code}`.")
        return answer

    def batch(self, operations: list[Json], *, key: str) -> list[Json]:
        """Several commands in one transaction; their results. Raises UnexpectedAnswer."""
        results = self.post("/v1/batch", {"operations": operations}, key=key)["results"]
        return [result["data"] for result in results]

    def bulk(self, resource: str, rows: Mapping[str, Json]) -> dict[str, str]:
        """Records by their keys, each booked by itself; key -> id. Raises UnexpectedAnswer."""
        ids: dict[str, str] = {}
        left = dict(rows)
        for _ in range(_ATTEMPTS):
            lines = b"\n".join(msgspec.json.encode({"key": key, "data": data}) for key, data in left.items())
            path = f"/v1/bulk/{resource}"
            reply = self._sent("POST", path, content=lines, headers={"Content-Type": "application/x-ndjson"})
            if reply.status_code != 200:
                raise UnexpectedAnswer(str(_answer("POST", path, reply)))
            for line in reply.content.splitlines():
                _take_line(path, msgspec.json.decode(line), left, ids)
            if not left:
                return ids
        raise UnexpectedAnswer(f"POST /v1/bulk/{resource}: {len(left)} rows were not booked after {_ATTEMPTS} tries.")

    def ask(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        key: str | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> Answer:
        """Any answer at all; only what says "later" is repeated. Raises UnexpectedAnswer without an answer."""
        headers = {"Idempotency-Key": key} if key else {}
        content = None
        if body is not None:
            content, headers["Content-Type"] = msgspec.json.encode(body), "application/json"
        return _answer(method, path, self._sent(method, path, content=content, headers=headers, params=parameters))

    def _sent(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        failure = ""
        for attempt in range(_ATTEMPTS):
            self._pace.take_turn()
            try:
                reply = self._http.request(method, path, **arguments)
            except httpx.TransportError as error:
                failure, wait = str(error) or type(error).__name__, min(0.1 * 2**attempt, _LONGEST_RECONNECT)
            else:
                if reply.status_code not in (429, 502, 503, 504):
                    return reply
                self._pace.refused()
                failure, wait = str(_answer(method, path, reply)), float(reply.headers.get("Retry-After", 1))
            time.sleep(min(wait, _LONGEST_WAIT))
        raise UnexpectedAnswer(f"{method} {path}: no answer after {_ATTEMPTS} tries. {failure}")


def _succeeded(answer: Answer) -> Answer:
    if answer.status >= 400:
        raise UnexpectedAnswer(f"{answer}{_TOO_LATE if answer.code == 'duplicate' else ''}")
    return answer


def _answer(method: str, path: str, reply: httpx.Response) -> Answer:
    try:
        body = msgspec.json.decode(reply.content) if reply.content else None
    except msgspec.DecodeError:
        body = {"detail": reply.text[:200]}
    replayed = reply.headers.get("Idempotency-Replayed") == "true"
    return Answer(f"{method} {path}", reply.status_code, body, replayed)


def _take_line(path: str, line: Json, left: dict[str, Json], ids: dict[str, str]) -> None:
    problem, key = line.get("problem"), line.get("key")
    if problem is not None:
        if not problem.get("retryable"):
            refusal = Answer(f"POST {path}", line["status"], problem, replayed=False)
            raise UnexpectedAnswer(f"{refusal} The row was {key}.")
    elif key in left:
        ids[key] = line["id"]
        del left[key]
