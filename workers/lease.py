"""The lead of the fleet: a row with a holder, a term and an expiry, all by the database's clock.

A lease makes one process work and the others wait; it does not make anything correct. A paused leader may
believe in its lease after another has taken it, so every effect of the lead checks the term where it lands.
"""

import time
from datetime import timedelta

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Interval,
    Table,
    Text,
    and_,
    bindparam,
    case,
    cast,
    func,
    or_,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from db.metadata import metadata
from db.statement import Statement
from fleet.metrics import leader, leader_election_attempts_total, leader_term
from tenancy.platform import PlatformDatabase

leases = Table(
    "leases", metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text),
    Column("term", BigInteger),
    Column("expires_at", DateTime(timezone=True)),
    Column("since", DateTime(timezone=True)),
)  # fmt: skip

_NOW = func.clock_timestamp()
_new = insert(leases).values(
    name=bindparam("name"), holder=bindparam("holder"), term=1,
    expires_at=_NOW + cast(bindparam("ttl"), Interval), since=_NOW,
)  # fmt: skip
_ours = leases.c.holder == _new.excluded.holder
_unbroken = and_(_ours, leases.c.expires_at > _NOW)
#: Take it when nobody holds it, keep it when it is ours; the term rises whenever the holding was interrupted.
TAKE = Statement(
    _new.on_conflict_do_update(
        index_elements=[leases.c.name],
        set_={
            "holder": _new.excluded.holder,
            "expires_at": _new.excluded.expires_at,
            "term": case((_unbroken, leases.c.term), else_=leases.c.term + 1),
            "since": case((_unbroken, leases.c.since), else_=_NOW),
        },
        where=or_(_ours, leases.c.expires_at < _NOW),
    ).returning(leases.c.term)
)
RENEW = Statement(
    update(leases)
    .where(
        leases.c.name == bindparam("lease"), leases.c.holder == bindparam("by"),
        leases.c.term == bindparam("in_term", type_=BigInteger), leases.c.expires_at > _NOW,
    )
    .values(expires_at=_NOW + cast(bindparam("ttl"), Interval))
    .returning(leases.c.term)
)  # fmt: skip
GIVE_UP = Statement(
    update(leases)
    .where(
        leases.c.name == bindparam("lease"), leases.c.holder == bindparam("by"),
        leases.c.term == bindparam("in_term", type_=BigInteger),
    )
    .values(expires_at=_NOW)
)  # fmt: skip


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

    async def give_up(self) -> None:
        """Hand it over: the next one who asks gets it at once."""
        term = self.term
        self.forget()
        await self._platform.ask(GIVE_UP(lease=self.name, by=self.holder, in_term=term))

    def forget(self) -> None:
        """No longer ours, as far as this process is concerned."""
        self._until = 0.0
        if self._told:
            leader.set(0)

    @property
    def _duration(self) -> timedelta:
        return timedelta(seconds=self._ttl)
