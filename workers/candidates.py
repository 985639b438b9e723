"""Those of a process who may lead, and how they hear that the lead may be had."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from fleet.instances.envelope import role_address
from fleet.instances.instance import Instance
from fleet.leader.store import MOVED


class Candidate(Protocol):
    """A coordinator of one database. `vacated`: called when it has given the lead up."""

    vacated: Callable[[], Awaitable[None]]

    def nudge(self) -> None: ...

    def stand_aside(self, aside: bool) -> None: ...


async def nobody_waits() -> None:
    """Nobody is told; the others ask by themselves soon."""


async def first_of(ending: asyncio.Event, nudged: asyncio.Event, seconds: float) -> bool:
    """Wait for either at most so long; whether `ending` is set."""
    waits = [asyncio.ensure_future(event.wait()) for event in (ending, nudged)]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return ending.is_set()


class Candidates:
    """The coordinators of a process as one: told of the lead by the instance they are part of."""

    def __init__(self, coordinators: Sequence[Candidate]) -> None:
        self._coordinators = coordinators

    def join(self, instance: Instance) -> None:
        """Hear when the lead may have moved, and say so when one of them gives it up."""

        async def vacated() -> None:
            await instance.bus.tell(role_address(instance.about.role), MOVED)

        instance.bus.on(MOVED, lambda body: self.nudge())
        for one in self._coordinators:
            one.vacated = vacated

    def nudge(self) -> None:
        for one in self._coordinators:
            one.nudge()

    def stand_aside(self, aside: bool) -> None:
        for one in self._coordinators:
            one.stand_aside(aside)
