"""Waiting for what comes in on a connection, without telling the event loop anew for every flush."""

import asyncio


class Inbox:
    """Tells one coroutine when a connection's socket can be read; goes on watching it for the next flush.

    To start and to stop watching costs several system calls each, more than a small answer does. Whoever watches
    the socket otherwise, or closes it, calls `close` first: the next file to get its number would go unwatched.
    """

    __slots__ = ("_fileno", "_loop", "_waiter")

    def __init__(self) -> None:
        self._fileno = -1
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def arrival(self, fileno: int) -> None:
        """Wait until something can be read: data, an error, or the end of the connection."""
        loop = asyncio.get_running_loop()
        if self._fileno != fileno:
            self.close()
            loop.add_reader(fileno, self._readable)
            self._fileno, self._loop = fileno, loop
        self._waiter = waiter = loop.create_future()
        try:
            await waiter
        finally:
            self._waiter = None

    def close(self) -> None:
        """Stop watching; the next `arrival` starts again."""
        if self._loop is not None:
            self._loop.remove_reader(self._fileno)
            self._fileno, self._loop = -1, None

    def _readable(self) -> None:
        if self._waiter is None:
            # A notice, or the server hung up: nobody reads now, and the loop would report it again and again.
            self.close()
        elif not self._waiter.done():
            self._waiter.set_result(None)
