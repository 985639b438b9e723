"""The lead of the fleet: a row with a holder, a term and an expiry, all by the database's clock; and its history."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    DateTime,
    Interval,
    Table,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    func,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from db.metadata import metadata
from db.statement import Statement

#: The lead every coordinator asks for.
LEAD = "coordinator"
#: The message that the lead may have moved: whoever waits for it looks at once.
MOVED = "lead.moved"

leases = Table(
    "leases", metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text),
    Column("term", BigInteger),
    Column("expires_at", DateTime(timezone=True)),
    Column("since", DateTime(timezone=True)),
    Column("offered_to", Text),
    Column("withheld_from", Text),
    Column("offered_until", DateTime(timezone=True)),
)  # fmt: skip

lease_terms = Table(
    "lease_terms", metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text),
    Column("term", BigInteger),
    Column("holder", Text),
    Column("since", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True)),
    Column("ended", Text),
    Column("ended_by", Text),
    Column("reason", Text),
)  # fmt: skip


class LeadRow(NamedTuple):
    """`held`: by the database's clock at the moment of asking."""

    name: str
    holder: str
    term: int
    since: datetime
    expires_at: datetime
    held: bool
    offered_to: str | None
    offered_until: datetime | None


_NOW = func.clock_timestamp()
_lease = bindparam("lease", type_=Text)
_new = insert(leases).values(
    name=bindparam("name"), holder=bindparam("holder"), term=1,
    expires_at=_NOW + cast(bindparam("ttl"), Interval), since=_NOW,
)  # fmt: skip
_ours = leases.c.holder == _new.excluded.holder
_unbroken = and_(_ours, leases.c.expires_at > _NOW)
_open_to_us = or_(
    leases.c.offered_until.is_(None),
    leases.c.offered_until <= _NOW,
    and_(
        func.coalesce(leases.c.offered_to, _new.excluded.holder) == _new.excluded.holder,
        func.coalesce(leases.c.withheld_from, "") != _new.excluded.holder,
    ),
)
#: Take it when nobody holds it, keep it when it is ours; the term rises whenever the holding was interrupted.
TAKE = Statement(
    _new.on_conflict_do_update(
        index_elements=[leases.c.name],
        set_={
            "holder": _new.excluded.holder,
            "expires_at": _new.excluded.expires_at,
            "term": case((_unbroken, leases.c.term), else_=leases.c.term + 1),
            "since": case((_unbroken, leases.c.since), else_=_NOW),
            "offered_to": null(),
            "withheld_from": null(),
            "offered_until": null(),
        },
        where=or_(_unbroken, and_(leases.c.expires_at <= _NOW, _open_to_us)),
    ).returning(leases.c.term)
)


def _held_by_us() -> tuple[ColumnElement[bool], ...]:
    """The lease of this holder in this term, still running: what every effect of the lead asks where it lands."""
    return (
        leases.c.name == _lease,
        leases.c.holder == bindparam("by", type_=Text),
        leases.c.term == bindparam("in_term", type_=BigInteger),
        leases.c.expires_at > _NOW,
    )


RENEW = Statement(
    update(leases)
    .where(*_held_by_us())
    .values(expires_at=_NOW + cast(bindparam("ttl"), Interval))
    .returning(leases.c.term)
)
#: The row stays locked until the transaction ends: nobody takes the lead between this look and its commit.
HOLD: Statement[tuple[Any, ...]] = Statement(
    select(leases.c.term).where(*_held_by_us()).with_for_update(read=True, of=leases)
)
#: The same without a lock, for effects outside of this database.
STILL_HELD: Statement[tuple[Any, ...]] = Statement(select(leases.c.term).where(*_held_by_us()))

_ended = (
    update(leases)
    .where(*_held_by_us())
    .values(expires_at=_NOW)
    .returning(leases.c.name, leases.c.term, leases.c.expires_at)
    .cte("ended")
)
#: Give it up: the next one who asks gets it at once.
GIVE_UP = Statement(
    update(lease_terms)
    .where(lease_terms.c.name == _ended.c.name, lease_terms.c.term == _ended.c.term, lease_terms.c.ended_at.is_(None))
    .values(ended_at=_ended.c.expires_at, ended=bindparam("why", type_=Text))
    .returning(lease_terms.c.term)
)

# -- what operators see and do ----------------------------------------------------------------------

_lead = select(
    leases.c.name, leases.c.holder, leases.c.term, leases.c.since, leases.c.expires_at, leases.c.expires_at > _NOW,
    leases.c.offered_to, leases.c.offered_until,
).where(leases.c.name == _lease)  # fmt: skip
LEAD_NOW: Statement[LeadRow] = Statement(_lead, LeadRow)
LOCK_LEAD: Statement[LeadRow] = Statement(_lead.with_for_update(of=leases), LeadRow)

_offered = (
    update(leases)
    .where(
        leases.c.name == _lease, leases.c.term == bindparam("in_term", type_=BigInteger), leases.c.expires_at > _NOW,
    )
    .values(
        expires_at=_NOW, offered_to=cast(bindparam("to"), Text), withheld_from=leases.c.holder,
        offered_until=_NOW + cast(bindparam("offer"), Interval),
    )
    .returning(leases.c.name, leases.c.term, leases.c.expires_at)
    .cte("offered")
)  # fmt: skip
#: End the term now, whatever its holder believes, and offer the lead to another for a while.
OFFER: Statement[tuple[Any, ...]] = Statement(
    update(lease_terms)
    .where(
        lease_terms.c.name == _offered.c.name, lease_terms.c.term == _offered.c.term, lease_terms.c.ended_at.is_(None)
    )
    .values(
        ended_at=_offered.c.expires_at, ended="transferred", ended_by=cast(bindparam("ended_by"), Text),
        reason=cast(bindparam("reason"), Text),
    )
    .returning(lease_terms.c.term)
)  # fmt: skip
