"""Plays a script against the real application and tells where an answer is not the one on the page."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx

from tests.docs.script import Exchange, Message
from tests.docs.shapes import Names

#: The credential of requests that show none.
OWNER = "owner_key"

_PATIENCE = 60.0
_PAUSE = 0.1


class Player:
    """Sends the requests of a page one after the other; what an answer names, later ones may use."""

    def __init__(self, client: httpx.AsyncClient, names: Names) -> None:
        self._client = client
        self._names = names

    async def play(self, exchange: Exchange) -> None:
        """Raises AssertionError with the differences and the answer as it was."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            reply = await self.send(exchange.request)
            found = list(self._compare(exchange.answer, reply))
            if not found or exchange.again is None or time.monotonic() > deadline:
                break
            if exchange.again == "polled":
                await asyncio.sleep(_PAUSE)
        assert not found, self._report(exchange, found, reply)

    async def send(self, request: Message) -> httpx.Response:
        """The request with its names filled in; JSON and the owner's credential unless it says otherwise."""
        method, _, target = self._names.fill(request.first).partition(" ")
        headers = {name: self._names.fill(value) for name, value in request.headers}
        given = {name.lower() for name in headers}
        if "authorization" not in given:
            headers["Authorization"] = "Bearer " + self._names.fill(f"<{OWNER}>")
        if request.body and "content-type" not in given:
            headers["Content-Type"] = "application/json"
        body = self._names.fill(request.body)
        return await self._client.request(method, target, headers=headers, content=body.encode() or None)

    def _compare(self, shown: Message, reply: httpx.Response) -> Iterator[str]:
        # The code only: what it is called depends on the edition of the standard.
        if shown.first.split()[1] != str(reply.status_code):
            yield f"status: {shown.first!r} is shown, {reply.status_code} came"
        if shown.body:
            yield from self._names.differences(_shown_body(shown), body_of(reply))
        elif reply.content:
            yield "body: none is shown, one came"
        for name, value in shown.headers:
            if name not in reply.headers:
                yield f"header {name}: is shown and did not come"
            elif not self._names.fits_text(value, reply.headers[name]):
                yield f"header {name}: {value!r} is shown, {reply.headers[name]!r} came"

    def _report(self, exchange: Exchange, found: list[str], reply: httpx.Response) -> str:
        asked = f"{exchange.page}:{exchange.request.line}: {self._names.fill(exchange.request.first)}"
        real = json.dumps(body_of(reply), indent=2, ensure_ascii=False) if reply.content else "(no body)"
        return "\n".join([asked, *found, "", f"{reply.status_code} {dict(reply.headers)}", real])


def body_of(reply: httpx.Response) -> Any:
    """The body as JSON values; a stream's lines in the order of the request."""
    if reply.headers.get("content-type") == "application/x-ndjson":
        lines = [json.loads(line) for line in reply.text.splitlines() if line]
        return sorted(lines, key=lambda line: int(line["line"]))
    return json.loads(reply.content) if reply.content else None


def _shown_body(shown: Message) -> Any:
    if ("content-type", "application/x-ndjson") in [(name.lower(), value) for name, value in shown.headers]:
        return [json.loads(line) for line in shown.body.splitlines()]
    return json.loads(shown.body)
