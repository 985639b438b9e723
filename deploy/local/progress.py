"""The supervisor's journal: phase, steps with their times, children; written down as it changes."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from deploy.local.layout import Layout
from deploy.local.status import ChildStatus, FleetStatus, Step, write_status


class Journal:
    """Keeps the status file equal to what the supervisor does; `show` prints each finished step."""

    def __init__(
        self, layout: Layout, url: str, notes: tuple[str, ...], show: Callable[[str], None] | None = None
    ) -> None:
        self._layout = layout
        self._show = show
        self._status = FleetStatus(phase="starting", pid=os.getpid(), url=url, started=time.time(), notes=notes)
        write_status(layout, self._status)

    def phase(self, phase: str, message: str = "") -> None:
        self._change(msgspec.structs.replace(self._status, phase=phase, message=message))
        if self._show is not None:
            self._show(f"{phase}: {self._status.url}")

    def children(self, children: tuple[ChildStatus, ...]) -> None:
        self._change(msgspec.structs.replace(self._status, children=children))

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Note what is being done; with its time when it succeeded."""
        before, started = self._status.steps, time.monotonic()
        self._change(msgspec.structs.replace(self._status, steps=(*before, Step(text, None))))
        yield
        done = Step(text, round(time.monotonic() - started, 2))
        self._change(msgspec.structs.replace(self._status, steps=(*before, done)))
        if self._show is not None:
            self._show(f"{done.text} ({done.seconds:.1f} s)")

    def _change(self, status: FleetStatus) -> None:
        if status != self._status:
            self._status = status
            write_status(self._layout, status)
