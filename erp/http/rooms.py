"""How many requests of one tenant an instance works on at once: a busy tenant waits for itself, others do not."""

import asyncio
from collections import deque
from uuid import UUID

from erp.http.errors import RateLimited
from erp.http.turns import Place
from fleet.deadline import within
from fleet.metrics import rate_limited_total


class Rooms:
    """At most `allowed` requests of a tenant inside; as many wait in its line, each at most `wait` seconds.

    Who waits here keeps no place of the instance: others work meanwhile.
    """

    def __init__(self, allowed: int, *, wait: float = 1.0) -> None:
        self.allowed = allowed
        self._wait = wait
        self._inside: dict[UUID, int] = {}
        #: Only of tenants of whom somebody waits.
        self._lines: dict[UUID, deque[asyncio.Future[None]]] = {}

    async def enter(self, tenant_id: UUID, place: Place) -> None:
        """Raises RateLimited, Overloaded, DeadlineExceeded. Whoever entered must `leave`."""
        inside = self._inside.get(tenant_id, 0)
        if inside < self.allowed:
            self._inside[tenant_id] = inside + 1
            return
        line = self._lines.setdefault(tenant_id, deque())
        if len(line) >= self.allowed:
            raise self._refusal()
        place.give_back()
        await self._line_up(tenant_id, line)
        try:
            await place.take()
        except BaseException:
            self.leave(tenant_id)
            raise

    def leave(self, tenant_id: UUID) -> None:
        """Let the next ones of the tenant in."""
        inside = self._inside[tenant_id] - 1
        if (line := self._lines.get(tenant_id)) is not None:
            while line and inside < self.allowed:
                turn = line.popleft()
                if not turn.done():
                    inside += 1
                    turn.set_result(None)
            if not line:
                del self._lines[tenant_id]
        if inside:
            self._inside[tenant_id] = inside
        else:
            del self._inside[tenant_id]

    async def _line_up(self, tenant_id: UUID, line: deque[asyncio.Future[None]]) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.append(turn)
        try:
            async with asyncio.timeout(within(self._wait)):
                await turn
        except BaseException as error:
            if turn in line:
                line.remove(turn)
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
