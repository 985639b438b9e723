"""How much of a queue waits in Redis, and in how many messages: as little as keeps its workers busy, because Redis
knows no turns."""

import math
from collections import deque

#: What may always wait, also while nobody works.
FLOOR = 4
#: Seconds of work that may wait: whoever's turn comes next waits behind it.
_HORIZON = 0.5
#: Seconds over which it is measured how fast the workers take jobs.
_MEASURED = 0.5
#: Messages a window is in at least, so that there is one for each of several processes.
_APART = 16


class Window:
    """Of one queue. `most`: jobs that may wait in Redis however fast they are taken; `bundle`: in one message.

    It follows the pace at which workers take jobs, and doubles whenever they found nothing although all that
    was allowed had been sent: a burst after silence is at full speed within some ten turns.
    """

    def __init__(self, most: int, bundle: int = 1) -> None:
        self._most = most
        self._bundle = bundle
        self._size = min(FLOOR, most)
        self._filled = False
        #: When, and how many jobs had been taken by then.
        self._taken: deque[tuple[float, int]] = deque()

    @property
    def together(self) -> int:
        """Jobs of one tenant that may share a message now: several only where workers have shown to take many."""
        return max(1, min(self._size // _APART, self._bundle))

    def room(self, waiting: int, taken: int, now: float) -> int:
        """How many jobs may be added to those `waiting`. `taken`: by workers since ever; `now` in seconds."""
        pace = self._pace(taken, now)
        if waiting == 0 and self._filled:
            self._size = min(self._size * 2, self._most)
        elif waiting > 0 or not self._filled:
            # Not at once: while a burst begins, the pace of the last moments is still that of the silence before.
            needed = max(math.ceil(pace * _HORIZON), self._size * 3 // 4, FLOOR)
            self._size = min(needed, self._most)
        self._filled = False
        return max(0, self._size - waiting)

    def sent(self, jobs: int, room: int) -> None:
        """What became of the room."""
        self._filled = jobs >= room > 0

    def _pace(self, taken: int, now: float) -> float:
        if self._taken and taken < self._taken[-1][1]:
            self._taken.clear()  # messages came back, or Redis has lost its count
        while len(self._taken) > 1 and now - self._taken[1][0] >= _MEASURED:
            self._taken.popleft()
        begun, before = self._taken[0] if self._taken else (now, taken)
        self._taken.append((now, taken))
        return (taken - before) / (now - begun) if now > begun else 0.0
