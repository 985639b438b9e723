"""Choosing one instance of many to ask something: never to send users' requests to, that is the balancer's."""

import random
from collections.abc import Sequence
from typing import Literal

from fleet.instances.member import Member

Selection = Literal["round_robin", "least_loaded", "random"]


class Chooser:
    """`round_robin` goes on where this process's last choice among the same role ended."""

    def __init__(self) -> None:
        self._last: dict[str, str] = {}

    def choose(self, members: Sequence[Member], how: Selection, role: str) -> Member | None:
        """None when there is nobody. Members that drain are chosen only when there is no other."""
        able = [one for one in members if one.condition.state != "draining"] or list(members)
        if not able:
            return None
        match how:
            case "random":
                return random.choice(able)
            case "least_loaded":
                return min(able, key=lambda one: (one.condition.load.rank, one.id))
            case "round_robin":
                ordered = sorted(able, key=lambda one: one.id)
                last = self._last.get(role, "")
                chosen = next((one for one in ordered if one.id > last), ordered[0])
                self._last[role] = chosen.id
                return chosen
