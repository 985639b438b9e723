"""Statements on the history of the lead."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import literal_column, select

from erp.http.filters import eq
from erp.http.listing import Listing
from fleet.leader.store import LEAD, lease_terms


class TermRow(NamedTuple):
    id: UUID
    term: int
    holder: str
    since: datetime
    ended_at: datetime | None
    ended: str | None
    ended_by: str | None
    reason: str | None


TERMS: Listing[TermRow] = Listing(
    select=select(*(lease_terms.c[name] for name in TermRow._fields)).where(
        lease_terms.c.name == literal_column(f"'{LEAD}'")
    ),
    row=TermRow,
    key=lease_terms.c.id,
    sorts={"since": lease_terms.c.since},
    default="-since",
    filters={"holder": eq(lease_terms.c.holder)},
)
