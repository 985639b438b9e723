"""uvicorn's HTTP protocol, with the head and the first piece of an answer's body in one write.

uvicorn writes them one after the other: two system calls and two packets here, two wake-ups of the balancer there.
Set by `--http erp.http.protocol:JoinedProtocol`.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD = b"HTTP/1."


class JoiningTransport:
    """A transport that keeps what begins an answer until the next write, the end of this turn of the loop, or the end
    of the connection, whichever is first. Everything else is the transport's own.
    """

    __slots__ = ("_kept", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._kept = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self._kept:
            kept, self._kept = self._kept, b""
            self._transport.write(kept + data)
        elif data.startswith(_HEAD):
            self._kept = data
            self._loop.call_soon(self._let_go)
        else:
            self._transport.write(data)

    def close(self) -> None:
        self._let_go()
        self._transport.close()

    def _let_go(self) -> None:
        """A stream whose first piece is not there yet, or an answer without a body."""
        if self._kept:
            kept, self._kept = self._kept, b""
            self._transport.write(kept)


class JoinedProtocol(HttpToolsProtocol):
    """One connection of a client."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(JoiningTransport(transport, self.loop))  # type: ignore[arg-type]
