"""The registry: one sorted set in Redis with everybody's last heartbeat, by Redis' own clock, and a record each.

It may be lost at any moment: the list is then empty and says so, the next heartbeats fill it again, and nothing a
request does depends on it.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from redis.exceptions import RedisError

from db.redis import Executor, Script
from fleet.instances.member import About, Condition, Member, Roll

BEAT: Final = Script.load("fleet.instances", "lua/beat.lua")
ROLL: Final = Script.load("fleet.instances", "lua/roll.lua")
NEXT: Final = Script.load("fleet.instances", "lua/next.lua")
LOSSES: Final = Script.load("fleet.instances", "lua/losses.lua")

_SET: Final = "erp:instances"
_SINCE: Final = "erp:instances:since"
_KNOWN: Final = "erp:instances:known"
_TURN: Final = "erp:instances:turn:"
_TURN_KEPT: Final = 86_400
_RECORD: Final = "erp:instance:"
#: Instances one listing shows; far above any fleet of this system.
MOST: Final = 2_000
#: A record is kept so many times longer than its instance counts as alive.
_KEPT: Final = 3


class Registry:
    """`heartbeat`: seconds between two beats of an instance; `dead_after`: seconds of silence that mean death."""

    def __init__(self, redis: Executor, *, heartbeat: float = 5.0, dead_after: float = 20.0) -> None:
        self._redis = redis
        self.heartbeat = heartbeat
        self.dead_after = dead_after

    async def beat(self, about: About, condition: Condition) -> None:
        """I live. Errors: RedisError."""
        await BEAT(
            self._redis, [_SET, _RECORD + about.id, _SINCE, _KNOWN], about.id, msgspec.json.encode(about),
            msgspec.json.encode(condition), int(self.dead_after * _KEPT * 1000), int(self.heartbeat * 2000),
            about.role,
        )  # fmt: skip

    async def leave(self, instance_id: str) -> None:
        """A farewell: nobody has to wait for the silence. Errors: RedisError."""
        await self._redis.execute_command("HDEL", _KNOWN, instance_id)
        await self._redis.execute_command("ZREM", _SET, instance_id)
        await self._redis.execute_command("DEL", _RECORD + instance_id)

    async def roll(self) -> Roll:
        """Who lives; empty and degraded while Redis does not answer."""
        try:
            whole_for, *found = await ROLL(
                self._redis, [_SET, _SINCE], _RECORD, int(self.dead_after * 1000), MOST
            )  # fmt: skip
        except (RedisError, OSError, TimeoutError):
            return Roll(degraded=True)
        members = [_member(*found[at : at + 4]) for at in range(0, len(found), 4)]
        known = sorted((one for one in members if one is not None), key=lambda member: member.id)
        return Roll(tuple(known), whole=int(whole_for) >= self.heartbeat * 2000)

    async def losses(self, *, take: bool) -> dict[str, str]:
        """Id -> role of those that fell silent without a farewell. Empty while Redis does not answer.

        With `take` they are told to nobody again, so that of several who ask one gets each. They are kept where the
        registry is: whoever takes over from a lost leader finds that one, too.
        """
        try:
            found = await LOSSES(self._redis, [_SET, _KNOWN], int(self.dead_after * 1000), int(take))
        except (RedisError, OSError, TimeoutError):
            return {}
        words = [word.decode() for word in found]
        return dict(zip(words[::2], words[1::2], strict=True))

    async def in_turn(self, role: str, ids: Sequence[str]) -> str | None:
        """Of these (in order, at least one) whose turn it is, whichever process asks; None while Redis is away."""
        try:
            chosen: bytes = await NEXT(self._redis, [_TURN + role], _TURN_KEPT, *ids)
        except (RedisError, OSError, TimeoutError):
            return None
        return chosen.decode()


def _member(_: Any, silence: bytes, about: bytes, now: bytes) -> Member | None:
    try:
        return Member(
            msgspec.json.decode(about, type=About), msgspec.json.decode(now, type=Condition), int(silence) / 1000
        )
    except msgspec.DecodeError:  # of a release whose records have another shape
        return None
