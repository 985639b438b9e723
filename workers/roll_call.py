"""Who lives, as the leader sees it: the numbers for dashboards, and who fell silent without a farewell."""

from collections import Counter

from fleet.instances.bus import Bus
from fleet.instances.envelope import Body
from fleet.instances.instance import LEFT
from fleet.instances.registry import Registry
from fleet.logging import get_logger
from fleet.metrics import fleet_instances, fleet_instances_lost_total

log = get_logger("workers.roll_call")


class RollCall:
    """One look compares who lives with who did. While the registry is away or not whole it says nothing."""

    def __init__(self, registry: Registry, bus: Bus) -> None:
        self._registry = registry
        #: Instance -> role, as of the last look; None: not looked yet.
        self._before: dict[str, str] | None = None
        self._farewells: set[str] = set()
        bus.on(LEFT, self._left)

    async def look(self) -> bool:
        """Never raises because of Redis."""
        roll = await self._registry.roll()
        if not roll.whole:
            self._before = None  # whoever is missing now may only not have come back yet
            return False
        now = {one.id: one.about.role for one in roll.members}
        for instance, role in (self._before or {}).items():
            if instance not in now and instance not in self._farewells:
                fleet_instances_lost_total.at(role).inc()
                log.error("an instance was lost", lost=instance, of_role=role)
        self._farewells.clear()
        for role in {*(self._before or {}).values(), *now.values()}:
            fleet_instances.at(role).set(Counter(now.values())[role])
            fleet_instances_lost_total.at(role).inc(0)  # the first loss has to be an increase of something
        self._before = now
        return False

    def forget(self) -> None:
        """Somebody else looks from now on; old news is none."""
        for role in set((self._before or {}).values()):
            fleet_instances.forget(role)
        self._before = None

    def _left(self, body: Body) -> None:
        self._farewells.add(str(body.get("id", "")))
