"""Commands of links: each tenant writes its own consent, and only its own."""

from uuid import UUID

import msgspec
from msgspec import UNSET

from db.identifiers import new_id
from erp.intercompany.repository import ADD_LINK, LOCK_LINK, SET_LINK, LinkRow
from erp.intercompany.schemas import CreateLinkInput, LinkView, UpdateLinkInput
from erp.intercompany.views import link_facts, link_view
from erp.kernel.errors import Invalid, NotFound
from erp.parties.facts import PartyFacts, customer_of, party_facts, supplier_of
from tenancy.trail import Event
from tenancy.work import UnitOfWork


async def create_link(work: UnitOfWork, data: CreateLinkInput) -> LinkView:
    """Whether the partner exists is not asked: that is nobody's business before it has agreed.

    Raises Invalid for the tenant itself, Duplicate for a partner that has a link, NotACustomer, NotASupplier.
    """
    if data.partner_id == work.tenant_id:
        raise Invalid("The partner is another tenant.", pointer="/partner_id")
    [parties] = await work.load(party_facts(data.party_id))
    row = LinkRow(
        id=new_id(), version=1, partner_id=data.partner_id, party_id=data.party_id, location_id=data.location_id,
        sells=data.sells, buys=data.buys, state="active", created_at=work.now,
    )  # fmt: skip
    _check_roles(row, parties)
    work.save(ADD_LINK(**row._asdict()))
    work.publish(Event("intercompany_link", row.id, 1, "intercompany_link.created", link_facts(row)))
    work.audit("intercompany_link.create", "intercompany_link", row.id, after=link_facts(row))
    return link_view(row)


async def update_link(work: UnitOfWork, link_id: UUID, data: UpdateLinkInput) -> LinkView:
    """Raises NotFound, VersionConflict, NotACustomer, NotASupplier."""
    [found] = await work.load(LOCK_LINK(link_id=link_id))
    if not found:
        raise NotFound(link_id=str(link_id))
    [before] = found
    work.check_version(before.version)
    sent = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}
    after = before._replace(**sent)
    if after == before:
        return link_view(before)
    [parties] = await work.load(party_facts(after.party_id))
    _check_roles(after, parties)
    after = after._replace(version=before.version + 1)
    work.save(
        SET_LINK(
            link_id=link_id, new_party=after.party_id, new_location=after.location_id, may_sell=after.sells,
            may_buy=after.buys, new_state=after.state,
        )
    )  # fmt: skip
    work.publish(Event("intercompany_link", link_id, after.version, "intercompany_link.updated", link_facts(after)))
    work.audit(
        "intercompany_link.update", "intercompany_link", link_id, before=link_facts(before), after=link_facts(after)
    )
    return link_view(after)


def _check_roles(row: LinkRow, parties: list[PartyFacts]) -> None:
    """The party is what the link makes of it. Raises UnknownReference, NotACustomer, NotASupplier."""
    if row.sells or not row.buys:
        customer_of(parties, row.party_id)
    if row.buys:
        supplier_of(parties, row.party_id)
