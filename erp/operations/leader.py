"""Who leads, and handing the lead over: one transaction ends the term, whatever its holder believes.

From its commit on nothing the old leader does lands any more, because every effect of the lead asks for the term
where it lands. The one it is offered to has ten seconds; then anybody may take it.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid5

import psycopg
from msgspec import UNSET

from db.errors import DomainError
from erp.operations.leader_errors import NoLeader, NoOtherCoordinator, OtherTerm
from erp.operations.leader_queries import TermRow
from erp.operations.leader_schemas import LeadsView, LeadView, TermView, TransferInput, TransferView
from fleet.instances.bus import Bus
from fleet.instances.envelope import role_address
from fleet.instances.member import Member, Roll
from fleet.leader.store import LEAD, LEAD_NOW, LOCK_LEAD, MOVED, OFFER, LeadRow
from fleet.metrics import leader_transfers_total
from tenancy.placement import Platforms
from tenancy.work import UnitOfWork

_NAMESPACE: Final = UUID("2be5b1f6-6d4e-4f39-9d2c-52b6a8c1e0d7")
COORDINATOR: Final = "coordinator"
OFFERED_FOR: Final = timedelta(seconds=10)
_ABSENT = (psycopg.Error, DomainError, OSError, TimeoutError)


async def leads(platforms: Platforms) -> LeadsView:
    """Of every database this instance knows."""
    data: list[LeadView] = []
    unreachable: list[str] = []
    for name, platform in platforms.all.items():
        try:
            [rows] = await platform.ask(LEAD_NOW(lease=LEAD))
        except _ABSENT:
            unreachable.append(name)
        else:
            data += [_lead_view(name, row) for row in rows]
    return LeadsView(data=data, unreachable=unreachable)


def _lead_view(database: str, row: LeadRow) -> LeadView:
    return LeadView(
        database=database, holder=row.holder, term=row.term, since=row.since, expires_at=row.expires_at,
        held=row.held, offered_to=row.offered_to, offered_until=row.offered_until,
    )  # fmt: skip


def term_view(row: TermRow) -> TermView:
    return TermView(**row._asdict())


def successor(roll: Roll, holder: str, to: str | None) -> Member | None:
    """Whom to offer the lead to; None: anybody else. Raises NoOtherCoordinator."""
    able = [one for one in roll.of_role(COORDINATOR) if one.condition.state == "ready" and one.id != holder]
    if to is None:
        if roll.whole and not able:
            raise NoOtherCoordinator
        return None
    chosen = roll.named(to)
    if chosen is None or chosen not in able:
        raise NoOtherCoordinator(pointer="/to", to=to[:128], ready=[one.id for one in able])
    return chosen


class Transfer:
    """The command in the database whose lead it is, with who lives as the registry showed it just before.

    `keep` writes the entry of the operator's trail where that is another database, before the term ends.
    """

    def __init__(self, roll: Roll, bus: Bus, keep: Callable[[dict[str, Any]], Awaitable[None]] | None = None) -> None:
        self._roll = roll
        self._bus = bus
        self._keep = keep

    async def __call__(self, work: UnitOfWork, data: TransferInput) -> TransferView:
        """Raises NoLeader, OtherTerm, NoOtherCoordinator."""
        [rows] = await work.load(LOCK_LEAD(lease=LEAD))
        lead = rows[0] if rows else None
        if data.term is not UNSET and (lead is None or lead.term != data.term):
            raise OtherTerm(pointer="/term", term=data.term, current_term=lead.term if lead else None)
        if lead is None or not lead.held:
            raise NoLeader(retry_after=2)
        chosen = successor(self._roll, lead.holder, data.to)
        to = None if chosen is None else chosen.id
        facts = {"database": data.database, "term": lead.term, "from": lead.holder, "to": to, "reason": data.reason}
        if self._keep is None:
            work.audit("leader.transfer", "leader", uuid5(_NAMESPACE, LEAD), after=facts)
        else:
            await self._keep(facts)
        [ended] = await work.load(
            OFFER(
                lease=LEAD, in_term=lead.term, to=to, offer=OFFERED_FOR, ended_by=work.caller.name, reason=data.reason
            )
        )
        if not ended:  # it ran out between the two statements
            raise NoLeader(retry_after=2)
        work.after_commit(self._tell)
        return TransferView(term=lead.term, holder=lead.holder, offered_to=to)

    async def _tell(self) -> None:
        leader_transfers_total.inc()
        await self._bus.tell(role_address(COORDINATOR), MOVED)
