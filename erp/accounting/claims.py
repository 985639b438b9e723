"""What posting, settling and closing lock, for those who run several commands in one transaction."""

from collections.abc import Iterable
from datetime import date
from typing import Any
from uuid import UUID

from erp.accounting.open_items import lock_items
from erp.accounting.repository import CLOSE_GATE, OPEN_PERIOD
from erp.numbering.claims import series_claims
from tenancy.concurrency import Asked, Claim, LockRank, locked_by
from tenancy.locks import account_name
from tenancy.work import UnitOfWork

locked_by("period_gate", lambda keys: [CLOSE_GATE() for _ in keys])
locked_by("periods", lambda keys: [OPEN_PERIOD(on=on) for (on,) in keys])
locked_by("open_items", lambda keys: [lock_items(target for (target,) in keys)])


def days_of(work: UnitOfWork, asked: Iterable[Asked[Any]]) -> set[date]:
    """The days the commands book on: the `date` of their input, today without one."""
    return {getattr(one.data, "date", None) or work.today for one in asked}


def ledger_claims(days: Iterable[date], *series: str) -> list[Claim]:
    """The periods of these days, and the series whose numbers are taken in them.

    A day of a closed period moves on; when that leads into another year, its numbers are locked as they are taken.
    """
    on = set(days)
    return [*(Claim(LockRank.PERIOD, "periods", (day,)) for day in on), *series_claims(on, *series)]


def item_claims(named: Iterable[UUID]) -> list[Claim]:
    """The open items with these ids or of these documents."""
    return [Claim(LockRank.OPEN_ITEM, "open_items", (target,), account_name(target)) for target in named]


async def claims_of_closings(work: UnitOfWork, asked: list[Asked[Any]]) -> list[Claim]:
    """The gate all postings pass, alone: taken by what closes or opens periods."""
    return [Claim(LockRank.PERIOD, "period_gate", ())]


async def claims_of_entries(work: UnitOfWork, asked: list[Asked[Any]]) -> list[Claim]:
    """The periods and the numbers of entries by hand and of their reversals."""
    return ledger_claims(days_of(work, asked), "journal")
