"""Requests no client library would send: any headers, any cuts of the body, a client that leaves."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import msgspec

from erp.http.gate import Gate


@dataclass
class Answer:
    """What came back; `headers` by lower-case name, the last of equal ones."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    pieces: int = 0

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def code(self) -> str:
        return str(self.json["code"])


def scope_of(method: str, path: str, headers: list[tuple[bytes, bytes]], query: bytes, peer: str) -> dict[str, Any]:
    return {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": method,
        "scheme": "https", "path": path, "raw_path": path.encode(), "query_string": query, "root_path": "",
        "headers": [(b"host", b"erp.example"), *headers], "client": (peer, 40_000), "server": ("erp.example", 443),
    }  # fmt: skip


async def call(
    gate: Gate,
    method: str,
    path: str,
    *,
    token: str | None = None,
    headers: list[tuple[bytes, bytes]] | None = None,
    chunks: list[bytes] | None = None,
    query: bytes = b"",
    peer: str = "192.0.2.1",
    leaves: bool = False,
) -> Answer:
    """One request. `leaves`: the client disconnects after its chunks instead of finishing."""
    own = list(headers or [])
    if token is not None:
        own.append((b"authorization", b"Bearer " + token.encode()))
    waiting = list(chunks or [b""])
    answer = Answer()

    async def receive() -> dict[str, Any]:
        if waiting:
            body = waiting.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(waiting) or leaves}
        if leaves:
            return {"type": "http.disconnect"}
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
        else:
            answer.body += message.get("body", b"")
            answer.pieces += 1

    await gate(scope_of(method, path, own, query, peer), receive, send)  # type: ignore[arg-type]
    return answer
