"""The registry: one sorted set in Redis with everybody's last heartbeat, by Redis' own clock, and a record each.

It may be lost at any moment: the list is then empty and says so, the next heartbeats fill it again, and nothing a
request does depends on it.
"""

from typing import Any, Final

import msgspec
from redis.exceptions import RedisError

from db.redis import Executor, Script
from fleet.instances.member import About, Condition, Member, Roll

BEAT: Final = Script.load("fleet.instances", "lua/beat.lua")
ROLL: Final = Script.load("fleet.instances", "lua/roll.lua")

_SET: Final = "erp:instances"
_SINCE: Final = "erp:instances:since"
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
            self._redis, [_SET, _RECORD + about.id, _SINCE], about.id, msgspec.json.encode(about),
            msgspec.json.encode(condition), int(self.dead_after * _KEPT * 1000), int(self.heartbeat * 2000),
        )  # fmt: skip

    async def leave(self, instance_id: str) -> None:
        """A farewell: nobody has to wait for the silence. Errors: RedisError."""
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


def _member(_: Any, silence: bytes, about: bytes, now: bytes) -> Member | None:
    try:
        return Member(
            msgspec.json.decode(about, type=About), msgspec.json.decode(now, type=Condition), int(silence) / 1000
        )
    except msgspec.DecodeError:  # of a release whose records have another shape
        return None
