"""Answers that are written while the request is still being read."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from litestar import Response
from litestar.types import Receive, Scope, Send

from erp.http.ndjson import Line

NDJSON = b"application/x-ndjson"
V = TypeVar("V")

#: Rows worked on at the same time, and read ahead of them.
WORKERS = 4
#: Bytes of answers kept for a client that sends but does not read yet; beyond it nothing more is read.
MAX_UNREAD = 32 * 1024 * 1024
#: Rows in a row that failed on our side before the stream gives up.
MAX_FAILURES = 8


class StreamReply(Response[V]):
    """Sends one line per row, in the order the rows finish.

    `work` turns a row into its answer line and says whether the failure was ours. A client that leaves ends
    the stream after the rows under way; one that only sends, without reading, holds at most `MAX_UNREAD`.
    """

    __slots__ = ("give_up", "rows", "work")

    def __init__(
        self,
        rows: AsyncIterator[Line],
        work: Callable[[Line], Awaitable[tuple[bytes, bool]]],
        give_up: bytes,
    ) -> None:
        self.rows = rows
        self.work = work
        self.give_up = give_up

    def to_asgi_response(self, *args: Any, **kwargs: Any) -> Any:
        return self._send

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", NDJSON)]})
        try:
            await _Pump(self, send).run()
        except* OSError:
            pass  # the client is gone, and what was under way has ended


class _Pump:
    """Reader -> workers -> writer, each ahead of the next by a bounded amount."""

    def __init__(self, reply: StreamReply[Any], send: Send) -> None:
        self._reply = reply
        self._send = send
        self._rows: asyncio.Queue[Line | None] = asyncio.Queue(WORKERS)
        self._answers: list[bytes] = []
        self._unread = 0
        self._failures = 0
        self._given_up = False
        self._working = WORKERS
        self._changed = asyncio.Condition()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read())
            for _ in range(WORKERS):
                tasks.create_task(self._work())
            await self._write()

    async def _read(self) -> None:
        async for row in self._reply.rows:
            async with self._changed:
                await self._changed.wait_for(lambda: self._unread < MAX_UNREAD or self._given_up)
            if self._given_up:
                break
            await self._rows.put(row)
        for _ in range(WORKERS):
            await self._rows.put(None)

    async def _work(self) -> None:
        while (row := await self._rows.get()) is not None:
            if self._given_up:
                continue
            answer, failed = await self._reply.work(row)
            async with self._changed:
                self._failures = self._failures + 1 if failed else 0
                # Too many failures of ours in a row: going on would only make them more.
                self._given_up = self._given_up or self._failures >= MAX_FAILURES
                self._answers.append(answer)
                self._unread += len(answer)
                self._changed.notify_all()
        async with self._changed:
            self._working -= 1
            self._changed.notify_all()

    async def _write(self) -> None:
        more = True
        while more:
            async with self._changed:
                await self._changed.wait_for(lambda: self._answers or not self._working)
                more = self._working > 0
                ready, self._answers = self._answers, []
            if not more and self._given_up:
                ready.append(self._reply.give_up)
            body = b"".join(ready)
            await self._send({"type": "http.response.body", "body": body, "more_body": more})
            async with self._changed:
                self._unread -= sum(map(len, ready))
                self._changed.notify_all()
