"""One process's claim to the lead of the fleet: a row with a holder, a term and an expiry, by the database's clock.

A lease makes one process work and the others wait; it does not make anything correct. A paused leader may
believe in its lease after another has taken it, so every effect of the lead checks the term where it lands.
"""

import time
from datetime import timedelta
from typing import Literal

from fleet.leader.deposed import Deposed
from fleet.leader.store import GIVE_UP, HOLD, RENEW, STILL_HELD, TAKE
from fleet.leader.store import leases as leases
from fleet.metrics import leader, leader_election_attempts_total, leader_term
from tenancy.platform import PlatformDatabase, PlatformSession

Ending = Literal["stopped", "drained"]


class Lease:
    """One process's claim to a lead. `ttl` in seconds; errors of the database pass through.

    `told`: whether the metrics `leader` and `leader_term` speak of this one.
    """

    def __init__(self, platform: PlatformDatabase, name: str, holder: str, *, ttl: float, told: bool = True) -> None:
        self._told = told
        self.name = name
        self.holder = holder
        self.term = 0
        self._platform = platform
        self._ttl = ttl
        self._until = 0.0

    @property
    def held(self) -> bool:
        """By this process's own clock, counted from before the last confirmation: a bit less than the truth."""
        return time.monotonic() < self._until

    async def take(self) -> bool:
        """Ask for the lead. True: it is ours, in `term`."""
        asked = time.monotonic()
        [rows] = await self._platform.ask(TAKE(name=self.name, holder=self.holder, ttl=self._duration))
        leader_election_attempts_total.at("won" if rows else "refused").inc()
        if not rows:
            return False
        self._until, self.term = asked + self._ttl, int(rows[0][0])
        if self._told:
            leader.set(1)
            leader_term.set(self.term)
        return True

    async def renew(self) -> bool:
        """Keep it. False: it is lost, whoever has it now."""
        asked = time.monotonic()
        [rows] = await self._platform.ask(
            RENEW(lease=self.name, by=self.holder, in_term=self.term, ttl=self._duration)
        )
        leader_election_attempts_total.at("renewed" if rows else "lost").inc()
        if rows:
            self._until = asked + self._ttl
        else:
            self.forget()
        return bool(rows)

    async def hold(self, session: PlatformSession) -> None:
        """Be sure of the lead until the session's transaction has ended. Raises Deposed: then nothing of it lands.

        For transactions that have found something to do: the row is locked, so nobody takes the lead meanwhile.
        """
        [rows] = await session.load(HOLD(lease=self.name, by=self.holder, in_term=self.term))
        if not rows:
            raise Deposed

    async def check(self) -> None:
        """Raises Deposed unless the lead is ours at this moment, by the database's clock."""
        [rows] = await self._platform.ask(STILL_HELD(lease=self.name, by=self.holder, in_term=self.term))
        if not rows:
            raise Deposed

    async def give_up(self, why: Ending = "stopped") -> None:
        """Hand it over: the next one who asks gets it at once."""
        term = self.term
        self.forget()
        await self._platform.ask(GIVE_UP(lease=self.name, by=self.holder, in_term=term, why=why))

    def forget(self) -> None:
        """No longer ours, as far as this process is concerned."""
        self._until = 0.0
        if self._told:
            leader.set(0)

    @property
    def _duration(self) -> timedelta:
        return timedelta(seconds=self._ttl)
