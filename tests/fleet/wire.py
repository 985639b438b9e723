"""One caller's HTTPS connection that may break at any moment, by itself or because the caller hangs up."""

import asyncio
import ssl
from typing import NamedTuple

from loadtests.bench.client import header, prepare

_PATIENCE = 15.0


class Reply(NamedTuple):
    """Status, the head as one lower-case block, body."""

    status: int
    head: bytes
    body: bytes

    @property
    def replayed(self) -> bool:
        return header(self.head, b"idempotency-replayed") == b"true"


class Wire:
    """Requests of one caller, one at a time; connected anew after it broke. Without `trust`: no TLS."""

    def __init__(self, port: int, trust: ssl.SSLContext | None, token: str) -> None:
        self._port = port
        self._trust = trust
        self._token = token
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(
        self, method: str, path: str, body: bytes = b"", key: str = "", hang_up: float = 0.0
    ) -> Reply | None:
        """The reply; None when none came. With `hang_up` the caller is gone after so many seconds."""
        try:
            async with asyncio.timeout(hang_up or _PATIENCE):
                return await self._exchange(prepare(method, path, self._token, body, key))
        except (OSError, EOFError, TimeoutError):
            self.break_off()
            return None

    def break_off(self) -> None:
        """Drop the connection without a word."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _exchange(self, raw: bytes) -> Reply:
        if self._streams is not None and self._streams[0].at_eof():
            self.break_off()  # ended while idle, as by a balancer that reads its configuration
        if self._streams is None:
            self._streams = await asyncio.open_connection(
                "127.0.0.1", self._port, ssl=self._trust, server_hostname="localhost" if self._trust else None
            )
        reader, writer = self._streams
        writer.write(raw)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        body = await reader.readexactly(int(header(head, b"content-length") or b"0"))
        if b"\r\nconnection: close" in head:
            self.break_off()
        return Reply(int(head[9:12]), head, body)
