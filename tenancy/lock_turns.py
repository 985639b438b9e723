"""The waiting lines of one process: first come, first served, and only the first asks Redis."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Lease:
    """A set of locks as Redis granted it. Times are event-loop seconds.

    `degraded`: Redis did not answer, so only this process' own lines are in force; `sent`: it may hold
    the locks all the same. `lost`: found expired or taken by another while held.
    """

    keys: tuple[str, ...]
    token: str
    taken_at: float
    expires_at: float
    degraded: bool = False
    sent: bool = True
    lost: bool = False
    over: bool = False
    hand_overs: int = 0
    renewal: asyncio.TimerHandle | None = None


class StillBusy(Exception):
    """The turn for `key` did not come in time."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


@dataclass(slots=True, eq=False)
class _Waiter:
    keys: tuple[str, ...]
    turn: asyncio.Future[Lease | None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Turns:
    """Who in this process may ask for which key.

    Turns are taken one by one in sorted order, so sets that overlap partly cannot block each other in a
    circle. A lease may be handed over to a waiter for exactly the same keys: then its turns go with it.
    `reclaim` is called with a lease handed over to a waiter that was cancelled meanwhile.
    """

    def __init__(self, reclaim: Callable[[Lease], None]) -> None:
        #: A key is in here while somebody has its turn; the line may be empty.
        self._lines: dict[str, deque[_Waiter]] = {}
        self._reclaim = reclaim

    async def take(self, keys: tuple[str, ...], deadline: float) -> Lease | None:
        """Wait for every key's turn; a lease when the predecessor handed one over. Raises StillBusy."""
        for position, key in enumerate(keys):
            line = self._lines.get(key)
            if line is None:
                self._lines[key] = deque()
                continue
            try:
                lease = await self._line_up(line, keys, key, deadline)
            except BaseException:
                self.pass_on(keys[:position])
                raise
            if lease is not None:
                return lease
        return None

    def pass_on(self, keys: tuple[str, ...]) -> None:
        """Give each key's turn to the next in its line."""
        for key in keys:
            line = self._lines[key]
            while line:
                waiter = line.popleft()
                if not waiter.turn.done():
                    waiter.turn.set_result(None)
                    break
            else:
                del self._lines[key]

    def hand_over(self, lease: Lease) -> bool:
        """Give lease and turns to the next waiter if it wants exactly these keys and nobody else any."""
        first, *others = (self._lines[key] for key in lease.keys)
        while first and first[0].turn.done():
            first.popleft()
        if not first or first[0].keys != lease.keys or any(others):
            return False
        first.popleft().turn.set_result(lease)
        return True

    async def _line_up(self, line: deque[_Waiter], keys: tuple[str, ...], key: str, deadline: float) -> Lease | None:
        waiter = _Waiter(keys)
        line.append(waiter)
        timer = asyncio.get_running_loop().call_at(deadline, self._give_up, line, waiter, key)
        try:
            return await waiter.turn
        except asyncio.CancelledError:
            self._leave(line, waiter, key)
            raise
        finally:
            timer.cancel()

    @staticmethod
    def _give_up(line: deque[_Waiter], waiter: _Waiter, key: str) -> None:
        if not waiter.turn.done():
            line.remove(waiter)
            waiter.turn.set_exception(StillBusy(key))

    def _leave(self, line: deque[_Waiter], waiter: _Waiter, key: str) -> None:
        """Cancelled while waiting; when the turn had come already it goes to the next."""
        turn = waiter.turn
        if turn.cancelled():
            if waiter in line:
                line.remove(waiter)
        elif turn.exception() is None:
            lease = turn.result()
            if lease is not None:
                self._reclaim(lease)
            else:
                self.pass_on((key,))
