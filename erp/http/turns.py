"""How many requests one instance works on at once, how long the others may wait, and who is refused first."""

import asyncio
from collections import deque
from typing import Final

from db.errors import Overloaded
from erp.http.ranks import Rank
from fleet.deadline import within
from fleet.metrics import http_requests_shed_total

#: What part of the places a rank may have at most; the others are kept for the ranks above it.
_SHARES: Final = {Rank.WRITE: 1.0, Rank.READ: 1.0, Rank.REPORT: 0.5, Rank.BACKGROUND: 0.25}


class Turns:
    """At most `at_once` requests run; at most `queue` wait, each at most `wait` seconds.

    Work under way is never interrupted. The next place goes to the most urgent rank in line; whoever finds the
    line full takes the place of the last one of the least urgent rank below its own, which is refused instead.
    """

    def __init__(self, at_once: int, *, queue: int, wait: float = 1.0) -> None:
        self._free = at_once
        self._queue = queue
        self._wait = wait
        self._most = tuple(max(1, round(at_once * _SHARES[rank])) for rank in Rank)
        self._working = [0] * len(Rank)
        self._lines: tuple[deque[asyncio.Future[None]], ...] = tuple(deque() for _ in Rank)

    @property
    def waiting(self) -> int:
        return sum(map(len, self._lines))

    async def enter(self, rank: Rank) -> None:
        """Raises Overloaded, DeadlineExceeded. Whoever entered must `leave` with the same rank."""
        if self._free > 0 and self._working[rank] < self._most[rank]:
            self._free -= 1
            self._working[rank] += 1
            return
        if self.waiting >= self._queue and not self._displace(rank):
            http_requests_shed_total.at("concurrency", rank.label).inc()
            raise Overloaded("Too many requests are waiting on this instance.", retry_after=1)
        line = self._lines[rank]
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.append(turn)
        try:
            async with asyncio.timeout(within(self._wait)):
                await turn
        except TimeoutError:
            self._withdraw(rank, turn)
            http_requests_shed_total.at("queue_wait", rank.label).inc()
            raise Overloaded("No turn came up in time on this instance.", retry_after=1) from None
        except BaseException:
            self._withdraw(rank, turn)
            raise

    def leave(self, rank: Rank) -> None:
        """Hand the place to the next in line."""
        self._working[rank] -= 1
        self._free += 1
        for other in Rank:
            line = self._lines[other]
            while line and self._working[other] < self._most[other]:
                turn = line.popleft()
                if not turn.done():
                    self._free -= 1
                    self._working[other] += 1
                    turn.set_result(None)
                    return

    def _displace(self, rank: Rank) -> bool:
        for other in reversed(Rank):
            line = self._lines[other]
            while other > rank and line:
                turn = line.pop()
                if not turn.done():
                    http_requests_shed_total.at("displaced", other.label).inc()
                    turn.set_exception(Overloaded("A more urgent request took this one's place.", retry_after=1))
                    return True
        return False

    def _withdraw(self, rank: Rank, turn: asyncio.Future[None]) -> None:
        line = self._lines[rank]
        if turn in line:
            line.remove(turn)
        if turn.done() and not turn.cancelled() and turn.exception() is None:
            # The turn came in the same instant as the end of the wait.
            self.leave(rank)


class Place:
    """One request's place among the turns, which it may give back for a while."""

    __slots__ = ("_turns", "held", "rank")

    def __init__(self, turns: Turns, rank: Rank) -> None:
        self._turns = turns
        self.rank = rank
        self.held = False

    async def take(self) -> None:
        """Raises Overloaded, DeadlineExceeded."""
        await self._turns.enter(self.rank)
        self.held = True

    def give_back(self) -> None:
        """Nothing when it is not held."""
        if self.held:
            self.held = False
            self._turns.leave(self.rank)
