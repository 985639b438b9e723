"""How many requests one instance works on at once, and how long the others may wait."""

import asyncio
from collections import deque

from db.errors import Overloaded
from fleet.metrics import http_requests_shed_total


class Turns:
    """At most `at_once` requests run; at most `queue` wait, each at most `wait` seconds.

    Work under way is never interrupted. Waiting writes go before waiting reads, and a write that finds the
    queue full takes the place of the read that came last: a read is cheap to repeat.
    """

    def __init__(self, at_once: int, *, queue: int, wait: float = 1.0) -> None:
        self._free = at_once
        self._queue = queue
        self._wait = wait
        self._writes: deque[asyncio.Future[None]] = deque()
        self._reads: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        return len(self._writes) + len(self._reads)

    async def enter(self, *, writing: bool) -> None:
        """Raises Overloaded. Whoever entered must `leave`."""
        if self._free > 0:
            self._free -= 1
            return
        if self.waiting >= self._queue and not (writing and self._give_up_a_read()):
            http_requests_shed_total.at("concurrency").inc()
            raise Overloaded("Too many requests are waiting on this instance.", retry_after=1)
        line = self._writes if writing else self._reads
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.append(turn)
        try:
            async with asyncio.timeout(self._wait):
                await turn
        except TimeoutError:
            self._withdraw(line, turn)
            http_requests_shed_total.at("queue_wait").inc()
            raise Overloaded("No turn came up in time on this instance.", retry_after=1) from None
        except BaseException:
            self._withdraw(line, turn)
            raise

    def leave(self) -> None:
        """Hand the place to the next in line."""
        for line in (self._writes, self._reads):
            while line:
                turn = line.popleft()
                if not turn.done():
                    turn.set_result(None)
                    return
        self._free += 1

    def _give_up_a_read(self) -> bool:
        while self._reads:
            turn = self._reads.pop()
            if not turn.done():
                turn.set_exception(Overloaded("A write took this read's place in the queue.", retry_after=1))
                return True
        return False

    def _withdraw(self, line: deque[asyncio.Future[None]], turn: asyncio.Future[None]) -> None:
        if turn in line:
            line.remove(turn)
        if turn.done() and not turn.cancelled() and turn.exception() is None:
            # The turn came in the same instant as the end of the wait.
            self.leave()
