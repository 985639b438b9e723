"""How many requests of one tenant an instance works on at once: a busy tenant waits for itself, others do not."""

import asyncio
from collections import deque
from uuid import UUID

from erp.http.errors import RateLimited
from erp.http.turns import Place
from fleet.deadline import within
from fleet.metrics import rate_limited_total


class _Room:
    __slots__ = ("inside", "line")

    def __init__(self) -> None:
        self.inside = 0
        self.line: deque[asyncio.Future[None]] = deque()


class Rooms:
    """At most `allowed` requests of a tenant inside; as many wait in its line, each at most `wait` seconds.

    Who waits here keeps no place of the instance: others work meanwhile.
    """

    def __init__(self, allowed: int, *, wait: float = 1.0) -> None:
        self.allowed = allowed
        self._wait = wait
        self._rooms: dict[UUID, _Room] = {}

    async def enter(self, tenant_id: UUID, place: Place) -> None:
        """Raises RateLimited, Overloaded, DeadlineExceeded. Whoever entered must `leave`."""
        room = self._rooms.get(tenant_id)
        if room is None:
            room = self._rooms[tenant_id] = _Room()
        if room.inside < self.allowed:
            room.inside += 1
            return
        if len(room.line) >= self.allowed:
            raise self._refusal()
        place.give_back()
        await self._line_up(tenant_id, room)
        try:
            await place.take()
        except BaseException:
            self.leave(tenant_id)
            raise

    def leave(self, tenant_id: UUID) -> None:
        """Let the next one of the tenant in."""
        room = self._rooms[tenant_id]
        room.inside -= 1
        while room.line and room.inside < self.allowed:
            turn = room.line.popleft()
            if not turn.done():
                room.inside += 1
                turn.set_result(None)
        if not room.inside and not room.line:
            del self._rooms[tenant_id]

    async def _line_up(self, tenant_id: UUID, room: _Room) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        room.line.append(turn)
        try:
            async with asyncio.timeout(within(self._wait)):
                await turn
        except BaseException as error:
            if turn in room.line:
                room.line.remove(turn)
            if turn.done() and not turn.cancelled():
                self.leave(tenant_id)  # let in at the same instant
            if isinstance(error, TimeoutError):
                raise self._refusal() from None
            raise

    def _refusal(self) -> RateLimited:
        rate_limited_total.at("concurrency").inc()
        return RateLimited(
            f"More than {self.allowed} requests of this tenant at once on this instance.", retry_after=1,
            limit_name="concurrency", limit=self.allowed,
        )  # fmt: skip
