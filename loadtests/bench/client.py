"""A light HTTP/1.1 client over TLS: one request at a time per connection, little Python per request.

It exists because a general client costs more CPU per request than the server it measures, on the same two
cores. It speaks just enough HTTP for our own API behind nginx: Content-Length or chunked bodies, keep-alive.
"""

import asyncio
import ssl
from typing import NamedTuple

_END = b"\r\n\r\n"
_LAST_CHUNK = b"0\r\n\r\n"


class Reply(NamedTuple):
    """Status, the header lines as one lower-case block, body."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: str) -> str:
        """A header's value, lower-case like the whole block; '' when it is not there."""
        return header(self.head, name.lower().encode()).decode("latin-1")


class BrokenReply(ConnectionError):
    """The connection ended inside a reply."""


class Wire(asyncio.Protocol):
    """One connection. `exchange` sends one prepared request and waits for its reply."""

    def __init__(self) -> None:
        self.open = False
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._waiter: asyncio.Future[Reply] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods without being subclasses of asyncio's.
        self._transport = transport  # type: ignore[assignment]
        self.open = True

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        reply = parse(self._buffer)
        if reply is not None and self._waiter is not None and not self._waiter.done():
            self._buffer.clear()
            self._waiter.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(BrokenReply("the connection was closed inside a reply"))

    async def exchange(self, raw: bytes) -> Reply:
        """Raises BrokenReply."""
        if not self.open or self._transport is None:
            raise BrokenReply("the connection is closed")
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(raw)
        return await self._waiter

    def close(self) -> None:
        self.open = False
        if self._transport is not None:
            self._transport.close()


class Client:
    """One caller with one kept connection, opened at the first request and again when the server closed it."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext) -> None:
        self._place = (host, port)
        self._context = context
        self._wire: Wire | None = None
        self.connects = 0

    async def request(self, raw: bytes) -> Reply:
        """Raises BrokenReply, and OSError when nothing listens."""
        wire = self._wire
        if wire is None or not wire.open:
            wire = self._wire = await self._connect()
        reply = await wire.exchange(raw)
        if b"\r\nconnection: close" in reply.head:
            wire.close()
        return reply

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()

    async def _connect(self) -> Wire:
        self.connects += 1
        loop = asyncio.get_running_loop()
        host, port = self._place
        _, wire = await loop.create_connection(Wire, host, port, ssl=self._context, server_hostname="localhost")
        return wire


def prepare(method: str, path: str, token: str, body: bytes = b"", key: str = "") -> bytes:
    """The bytes of one request. `key` becomes the Idempotency-Key."""
    return opening(method, path, token) + finish(body, key)


def opening(method: str, path: str, token: str) -> bytes:
    """The part of a request that many requests share: request line, host, credential."""
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n".encode()


def finish(body: bytes = b"", key: str = "") -> bytes:
    """What follows an `opening`: the remaining headers and the body."""
    lines = f"Idempotency-Key: {key}\r\n" if key else ""
    if body:
        lines += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return lines.encode() + b"\r\n" + body


def parse(buffer: bytearray) -> Reply | None:
    """The reply in the buffer, or None while it is not complete."""
    end = buffer.find(_END)
    if end < 0:
        return None
    head = bytes(buffer[:end]).lower()
    status = int(head[9:12])
    length = header(head, b"content-length")
    if length:
        last = end + 4 + int(length)
        return Reply(status, head, bytes(buffer[end + 4 : last])) if len(buffer) >= last else None
    if header(head, b"transfer-encoding") == b"chunked":
        # Whether the last chunk is there is looked up first: decoding is only worth it once.
        body = unchunk(bytes(buffer[end + 4 :])) if buffer.endswith(_LAST_CHUNK) else None
        return None if body is None else Reply(status, head, body)
    return Reply(status, head, b"")


def header(head: bytes, name: bytes) -> bytes:
    """The value of a header in a lower-case block, or b''."""
    start = head.find(b"\r\n" + name + b":")
    if start < 0:
        return b""
    start += len(name) + 3
    end = head.find(b"\r\n", start)
    return head[start : end if end >= 0 else len(head)].strip()


def unchunk(data: bytes) -> bytes | None:
    """The body of a chunked reply, or None while chunks are missing."""
    parts: list[bytes] = []
    position = 0
    while True:
        line = data.find(b"\r\n", position)
        if line < 0:
            return None
        size = int(data[position:line].split(b";")[0], 16)
        start = line + 2
        if len(data) < start + size + 2:
            return None
        if size == 0:
            return b"".join(parts)
        parts.append(data[start : start + size])
        position = start + size + 2
