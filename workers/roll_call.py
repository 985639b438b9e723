"""Who lives, as the leader sees it: the numbers for dashboards, and who fell silent without a farewell."""

import asyncio
from collections import Counter
from collections.abc import Callable

from fleet.instances.registry import Registry
from fleet.logging import get_logger
from fleet.metrics import fleet_instances, fleet_instances_lost_total

log = get_logger("workers.roll_call")


class RollCall:
    """Every coordinator looks, so that it knows the roles; who `leads` tells what it sees, and counts the losses.

    Who is lost is kept in the registry until a leader has counted it: a leader that is killed is found by the next
    one, however long that takes to get the lead. While the registry is away or not whole, nobody says anything.
    """

    def __init__(self, registry: Registry, leads: Callable[[], bool], *, pause: float = 5.0) -> None:
        """`pause`: seconds between two looks of `run`."""
        self._registry = registry
        self._leads = leads
        self._pause = pause
        self._shown: set[str] = set()

    async def run(self, ending: asyncio.Event) -> None:
        """Look again and again until `ending` is set."""
        while not ending.is_set():
            try:
                await self.look()
            except Exception:  # a defect here must not end the coordinator
                log.exception("a roll call failed")
            try:
                async with asyncio.timeout(self._pause):
                    await ending.wait()
            except TimeoutError:
                continue

    async def look(self) -> None:
        """Never raises because of Redis."""
        roll, leads = await self._registry.roll(), self._leads()
        if not leads:
            self.forget()
        if not roll.whole:
            return
        roles = Counter(one.about.role for one in roll.members)
        lost = await self._registry.losses(take=leads)
        for role in {*roles, *lost.values()}:
            # The first loss has to be an increase of something, also where it is the leader before this one.
            fleet_instances_lost_total.at(role).inc(0)
        if not leads:
            return
        for instance, role in lost.items():
            fleet_instances_lost_total.at(role).inc()
            log.error("an instance was lost", lost=instance, of_role=role)
        self._shown |= roles.keys()
        for role in self._shown:
            fleet_instances.at(role).set(roles[role])

    def forget(self) -> None:
        """Somebody else tells from now on; old news is none."""
        for role in self._shown:
            fleet_instances.forget(role)
        self._shown.clear()
