"""Whether every live instance can do something, asked of each of them.

The registry says who lives; each of them answers for itself. What cannot be known counts as no: a registry that was
just lost may hide somebody, and an instance that does not answer has acknowledged nothing.
"""

from dataclasses import dataclass

from fleet.instances.bus import Bus
from fleet.instances.instance import PING
from fleet.instances.member import Member, Roll
from fleet.instances.registry import Registry


@dataclass(frozen=True, slots=True)
class Agreement:
    """`acknowledged`, `lacking` and `silent`: ids of instances. `whole`: nobody can have been overlooked."""

    acknowledged: tuple[str, ...]
    lacking: tuple[str, ...]
    silent: tuple[str, ...]
    whole: bool

    @property
    def reached(self) -> bool:
        return self.whole and bool(self.acknowledged) and not self.lacking and not self.silent


async def agree(registry: Registry, bus: Bus, feature: str, *, timeout: float = 2.0) -> Agreement:
    """Ask everybody; whoever joined meanwhile without being asked counts as silent."""
    before = await registry.roll()
    answers = await bus.ask_all([one.id for one in before.members], PING, {}, timeout=timeout)
    able = {one for one, answer in answers.items() if isinstance(answer, dict) and _knows(answer, feature)}
    lacking = {one for one, answer in answers.items() if isinstance(answer, dict)} - able
    after = await registry.roll()
    silent = _silent(before, after, able | lacking)
    return Agreement(tuple(sorted(able)), tuple(sorted(lacking)), tuple(sorted(silent)), before.whole and after.whole)


def lacking(members: tuple[Member, ...], features: frozenset[str]) -> dict[str, list[str]]:
    """Instance -> the features of these its build does not know, of those that lack any."""
    found = {one.id: sorted(features - set(one.about.features)) for one in members}
    return {one: names for one, names in found.items() if names}


def _silent(before: Roll, after: Roll, answered: set[str]) -> set[str]:
    """Those that left with a farewell while they were asked are nobody's concern."""
    return (
        {one.id for one in after.members} - answered if after.whole else {one.id for one in before.members} - answered
    )


def _knows(answer: dict[str, object], feature: str) -> bool:
    known = answer.get("features")
    return isinstance(known, list) and feature in known
