"""Answers leave in one write; nothing waits for a body that is not there yet."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from erp.http.protocol import JoinedProtocol

PATIENCE = 5.0
BODY = b'{"id": 1}'


class _Counting:
    """A transport that notes every write that reaches the socket's side."""

    def __init__(self, transport: Any, writes: list[bytes]) -> None:
        self._transport, self._writes = transport, writes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        self._writes.append(bytes(data))
        self._transport.write(data)


class _App:
    """/plain, /empty (204), /stream (its body waits for `go`)."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        status = 204 if scope["path"] == "/empty" else 200
        headers = (
            [] if scope["path"] == "/stream" else [(b"content-length", b"%d" % (len(BODY) if status == 200 else 0))]
        )
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if scope["path"] == "/stream":
            await self.go.wait()
        await send({"type": "http.response.body", "body": BODY if status == 200 else b""})


@asynccontextmanager
async def _served(protocol: type[HttpToolsProtocol]) -> AsyncIterator[tuple[_App, list[bytes], Any, Any]]:
    """The app, what was written, a connected client's reader and writer."""
    writes: list[bytes] = []

    class Observed(protocol):  # type: ignore[misc, valid-type]
        def connection_made(self, transport: Any) -> None:
            super().connection_made(_Counting(transport, writes))

    app = _App()
    config = uvicorn.Config(app, http=Observed, lifespan="off", log_level="error")
    config.load()
    state = uvicorn.server.ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Observed(config, state, {}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        yield app, writes, reader, writer
    finally:
        writer.close()
        server.close()


def _ask(path: str, *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: here", *headers, "", "")).encode()


async def _head(reader: Any) -> bytes:
    head: bytes = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
    return head


async def _writes_of_a_plain_answer(protocol: type[HttpToolsProtocol]) -> int:
    async with _served(protocol) as (_, writes, reader, writer):
        writer.write(_ask("/plain"))
        assert (await _head(reader)).startswith(b"HTTP/1.1 200")
        assert await asyncio.wait_for(reader.readexactly(len(BODY)), PATIENCE) == BODY
        return len(writes)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_head_and_body_leave_in_one_write(run: Any) -> None:
    assert run(_writes_of_a_plain_answer(JoinedProtocol)) == 1


def test_uvicorns_own_protocol_takes_two() -> None:
    """The reason for ours; when this fails, ours has become needless."""
    assert uvloop.run(_writes_of_a_plain_answer(HttpToolsProtocol)) == 2


def test_a_head_does_not_wait_for_a_body_that_comes_later() -> None:
    async def story() -> None:
        async with _served(JoinedProtocol) as (app, _, reader, writer):
            writer.write(_ask("/stream"))
            assert b"transfer-encoding: chunked" in await _head(reader)
            app.go.set()
            assert BODY in await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), PATIENCE)

    uvloop.run(story())


def test_answers_without_a_body_and_to_pipelined_requests_arrive_in_order() -> None:
    async def story() -> list[bytes]:
        async with _served(JoinedProtocol) as (_, _, reader, writer):
            writer.write(_ask("/empty") + _ask("/plain", method="HEAD") + _ask("/plain"))
            heads = [(await _head(reader)).split(b"\r\n")[0] for _ in range(3)]
            assert await asyncio.wait_for(reader.readexactly(len(BODY)), PATIENCE) == BODY
            return heads

    assert uvloop.run(story()) == [b"HTTP/1.1 204 No Content", b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK"]


def test_a_client_that_waits_for_100_continue_is_told_to() -> None:
    async def story() -> None:
        async with _served(JoinedProtocol) as (_, _, reader, writer):
            writer.write(_ask("/plain", "Content-Length: 2", "Expect: 100-continue", method="POST"))
            assert (await _head(reader)).startswith(b"HTTP/1.1 100")
            writer.write(b"{}")
            assert (await _head(reader)).startswith(b"HTTP/1.1 200")

    uvloop.run(story())


def test_an_answer_that_ends_the_connection_arrives_whole() -> None:
    async def story() -> None:
        async with _served(JoinedProtocol) as (_, _, reader, writer):
            writer.write(_ask("/empty", "Connection: close"))
            assert (await asyncio.wait_for(reader.read(), PATIENCE)).startswith(b"HTTP/1.1 204")

    uvloop.run(story())
