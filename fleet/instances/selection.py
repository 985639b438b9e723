"""Choosing one instance of many to ask something: never to send users' requests to, that is the balancer's."""

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

from fleet.instances.member import Member

Selection = Literal["round_robin", "least_loaded", "random"]
#: Of a role's instances (ids in order) the one whose turn it is for the whole fleet; None: nobody can say.
InTurn = Callable[[str, Sequence[str]], Awaitable[str | None]]


class Chooser:
    """`round_robin` goes on where the fleet's last choice among the same role ended, whichever process made it.

    While nobody can say where that was, it goes on where this process's last one ended.
    """

    def __init__(self) -> None:
        self._last: dict[str, str] = {}

    async def choose(self, members: Sequence[Member], how: Selection, role: str, in_turn: InTurn) -> Member | None:
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
                own = next((one for one in ordered if one.id > last), ordered[0])
                turn = await in_turn(role, [one.id for one in ordered])
                chosen = next((one for one in ordered if one.id == turn), own)
                self._last[role] = chosen.id
                return chosen
