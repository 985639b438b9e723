"""One supervised process: started, watched, restarted with growing pauses when it crashes."""

import math
import random
import time
from collections.abc import Callable, Sequence
from threading import Event, Thread

from deploy.local.descendants import birth
from deploy.local.plan import Member
from deploy.local.processes import Running, start
from deploy.local.status import ChildStatus

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
STEADY_SECONDS = 60.0  # alive that long: the next crash is a first one again
LOOK_EVERY, LOOK_EVERY_WHEN_READY = 0.5, 5.0


class Child:
    """The current run of a member, and its history of crashes."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.running: Running | None = None
        self.restarts = 0
        self.healthy: bool | None = None
        self.last_exit: int | None = None
        self._born = 0
        self._crashes = 0
        self._due = 0.0

    @property
    def name(self) -> str:
        return self.member.program.name

    def start(self) -> Running:
        self.healthy = None
        self.running = start(self.member.program)
        self._born = birth(self.running.pid) or 0
        return self.running

    def rest(self, now: float) -> float:
        """Seconds until it is started again; for ever while it runs, since its end is told by a signal."""
        return math.inf if self.running is not None else max(0.0, self._due - now)

    def tend(self, now: float) -> None:
        """Notice a crash, and start again when its pause is over."""
        if self.running is None:
            if now >= self._due:
                self.restarts += 1
                self.start()
        elif not self.running.alive:
            self._crashed(self.running, now)

    def stopped(self) -> None:
        """The supervisor ended it on purpose."""
        self.running = None
        self.healthy = None

    def look(self) -> bool:
        """Ask the member whether it is ready; whether that is news."""
        asked, before = self.running, self.healthy
        answer = asked is not None and asked.alive and self.member.ready()
        if self.running is asked:  # not restarted while we were asking
            self.healthy = answer if asked is not None and (answer or self.healthy is not None) else None
        return self.healthy != before

    def status(self) -> ChildStatus:
        return ChildStatus(
            name=self.name,
            pid=self.running.pid if self.running is not None else 0,
            born=self._born if self.running is not None else 0,
            port=self.member.port,
            state=self._state(),
            restarts=self.restarts,
            started=self.running.started if self.running is not None else 0.0,
            last_exit=self.last_exit,
        )

    def _crashed(self, running: Running, now: float) -> None:
        running.sweep()
        self.last_exit = running.process.returncode
        self._crashes = 1 if time.time() - running.started > STEADY_SECONDS else self._crashes + 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (self._crashes - 1))
        self._due = now + pause * random.uniform(0.8, 1.2)
        self.stopped()

    def _state(self) -> str:
        if self.running is None:
            return "waiting" if self._due else "stopped"
        if self.healthy is None:
            return "starting"
        return "ready" if self.healthy else "unready"


class Watch:
    """Looks at the children in a thread of its own: a hanging one does not delay the restart of others.

    `tell` is called when one of them became ready or ceased to be.
    """

    def __init__(self, children: Sequence[Child], tell: Callable[[], None]) -> None:
        self._children = children
        self._tell = tell
        self._over = Event()
        self._thread = Thread(target=self._run, name="watch", daemon=True)

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._over.set()

    def _run(self) -> None:
        looked: dict[str, float] = {}
        while not self._over.wait(LOOK_EVERY):
            for child in list(self._children):
                pause = LOOK_EVERY_WHEN_READY if child.healthy else LOOK_EVERY
                if time.monotonic() - looked.get(child.name, 0.0) >= pause:
                    if child.look():
                        self._tell()
                    looked[child.name] = time.monotonic()
