"""A light HTTP/1.1 client over TLS: one request at a time per connection, little Python per request.

It exists because a general client costs more CPU per request than the server it measures, on the same two
cores. It speaks just enough HTTP for our own API behind nginx: Content-Length or chunked bodies, keep-alive.
"""

import asyncio
import ssl
from typing import NamedTuple


class Reply(NamedTuple):
    """Status, header lines as received (lower-case names), body."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class BrokenReply(ConnectionError):
    """The connection ended inside a reply."""


class Client(asyncio.Protocol):
    """One connection. `request` sends one prepared request and waits for its reply."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._waiter: asyncio.Future[Reply] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        reply = parse(self._buffer)
        if reply is not None and self._waiter is not None and not self._waiter.done():
            self._buffer.clear()
            self._waiter.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(BrokenReply("the connection was closed"))

    async def request(self, raw: bytes) -> Reply:
        """Raises BrokenReply."""
        if self._transport is None:
            raise BrokenReply("the connection is closed")
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(raw)
        return await self._waiter

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def connect(host: str, port: int, context: ssl.SSLContext) -> Client:
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(Client, host, port, ssl=context, server_hostname="localhost")
    return client


def prepare(method: str, path: str, token: str, body: bytes = b"", key: str = "") -> bytes:
    """The bytes of one request. `key` becomes the Idempotency-Key."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Length: {len(body)}\r\n"
    )
    if body:
        head += "Content-Type: application/json\r\n"
    if key:
        head += f"Idempotency-Key: {key}\r\n"
    return head.encode() + b"\r\n" + body


def parse(buffer: bytearray) -> Reply | None:
    """The reply in the buffer, or None while it is not complete."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    lines = bytes(buffer[:end]).split(b"\r\n")
    status = int(lines[0][9:12])
    headers = {name.lower(): value for name, _, value in (line.partition(b": ") for line in lines[1:])}
    if b"content-length" in headers:
        length = int(headers[b"content-length"])
        if len(buffer) < end + 4 + length:
            return None
        return Reply(status, headers, bytes(buffer[end + 4 : end + 4 + length]))
    if headers.get(b"transfer-encoding") == b"chunked":
        body = _chunks(bytes(buffer[end + 4 :]))
        return None if body is None else Reply(status, headers, body)
    return Reply(status, headers, b"")


def _chunks(data: bytes) -> bytes | None:
    body, position = b"", 0
    while True:
        line = data.find(b"\r\n", position)
        if line < 0:
            return None
        size = int(data[position:line].split(b";")[0], 16)
        start = line + 2
        if len(data) < start + size + 2:
            return None
        if size == 0:
            return body
        body += data[start : start + size]
        position = start + size + 2
