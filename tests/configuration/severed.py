"""A TCP relay in front of a server, which a test can sever (connections break, new ones are refused) or silence."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit


class Severed:
    """`url` is the server's, by way of the relay."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 5432
        self._parts = parts
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._listening = 0
        self._speaks = asyncio.Event()
        self._speaks.set()

    @property
    def url(self) -> str:
        credentials = self._parts.netloc.rpartition("@")[0]
        return urlunsplit(self._parts._replace(netloc=f"{credentials}@127.0.0.1:{self._listening}"))

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._listening)
        self._listening = self._server.sockets[0].getsockname()[1]

    async def sever(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    def silence(self) -> None:
        """A black hole: connections open and stay, nothing comes through any more."""
        self._speaks.clear()

    def speak(self) -> None:
        self._speaks.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            upstream, onward = await asyncio.open_connection(self._host, self._port)
            self._open |= {writer, onward}
            await asyncio.gather(_carry(reader, onward, self._speaks), _carry(upstream, writer, self._speaks))


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, speaks: asyncio.Event) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            await speaks.wait()
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def relayed(url: str) -> AsyncIterator[Severed]:
    relay = Severed(url)
    await relay.mend()
    try:
        yield relay
    finally:
        await relay.sever()
