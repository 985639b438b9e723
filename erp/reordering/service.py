"""Reorder rules, what they propose, and what becomes of it."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from msgspec import UNSET

from db.identifiers import new_id
from erp.inventory.facts import check_decimals, chosen_location, location_facts, stocked_product
from erp.inventory.queries import WAREHOUSE
from erp.kernel.errors import Invalid, InvalidState, NotFound, UnknownReference
from erp.kernel.quantity import quantity_text
from erp.kernel.text import decimal
from erp.parties.facts import party_facts, supplier_of
from erp.pricing.facts import SellingFacts, selling_facts
from erp.purchasing.schemas import CreatePurchaseOrderInput, PurchaseLineInput
from erp.purchasing.service import create_order
from erp.reordering.repository import (
    ADD_RULE,
    DECIDE,
    LOCK_PROPOSAL,
    LOCK_RULE,
    LOCK_RULES,
    PROPOSAL,
    PROPOSE,
    RULE_CHANGING,
    SET_RULE,
    UNFINISHED_JOB,
    ProposalRow,
    RuleRow,
)
from erp.reordering.schemas import (
    AcceptProposalInput,
    CreateReorderRuleInput,
    DismissProposalInput,
    PurchaseProposalView,
    ReorderingRunView,
    ReorderRuleView,
    RunReorderingInput,
    UpdateReorderRuleInput,
)
from erp.reordering.views import proposal_view, rule_view, shown
from tenancy.trail import Event
from tenancy.work import UnitOfWork

JOB_KIND = "reorder_proposals"
_NUMBERS = ("minimum", "target", "multiple", "unit_price")


async def create_rule(work: UnitOfWork, data: CreateReorderRuleInput) -> ReorderRuleView:
    """Raises UnknownReference, NotStocked, NotASupplier, PartyInactive, NoDefaultLocation, Invalid, Duplicate."""
    places, parties, products = await work.load(
        location_facts(data.location_id), party_facts(data.supplier_id), selling_facts([data.product_id], work.today)
    )
    location = chosen_location(places, data.location_id)
    supplier_of(parties, data.supplier_id, pointer="/supplier_id")
    row = RuleRow(
        id=new_id(), version=1, product_id=data.product_id, warehouse_id=location.warehouse_id,
        location_id=location.id, supplier_id=data.supplier_id, lead_days=data.lead_days, active=True,
        created_at=work.now, **{name: decimal(getattr(data, name)) for name in _NUMBERS},
    )  # fmt: skip
    _check(row, products)
    work.save(ADD_RULE(**row._asdict()))
    _tell(work, "reorder_rule", row.id, 1, "created", after=_facts(row))
    return rule_view(row)


async def update_rule(work: UnitOfWork, rule_id: UUID, data: UpdateReorderRuleInput) -> ReorderRuleView:
    """Raises NotFound, VersionConflict and what creating one raises."""
    before = await _rule(work, rule_id)
    work.check_version(before.version)
    sent = {name: value for name in data.__struct_fields__ if (value := getattr(data, name)) is not UNSET}
    sent |= {name: decimal(sent[name]) for name in _NUMBERS if name in sent}
    after = before._replace(**sent)
    if after == before:
        return rule_view(before)
    parties, products = await work.load(party_facts(after.supplier_id), selling_facts([after.product_id], work.today))
    if after.supplier_id != before.supplier_id:
        supplier_of(parties, after.supplier_id, pointer="/supplier_id")
    _check(after, products)
    after = after._replace(version=before.version + 1)
    work.save(SET_RULE(rule_id=rule_id, **{f"new_{name}": getattr(after, name) for name in RULE_CHANGING}))
    old, new = _facts(before), _facts(after)
    changed = [name for name in new if new[name] != old[name]]
    _tell(
        work, "reorder_rule", rule_id, after.version, "updated", before={name: old[name] for name in changed},
        after={name: new[name] for name in changed},
    )  # fmt: skip
    return rule_view(after)


def _check(row: RuleRow, products: Sequence[SellingFacts]) -> None:
    product = stocked_product(products, row.product_id, pointer="/product_id")
    for name in ("minimum", "target", "multiple"):
        check_decimals(getattr(row, name), product, pointer=f"/{name}")
    if row.target < row.minimum:
        raise Invalid("`target` is at least `minimum`.", pointer="/target", minimum=quantity_text(row.minimum))


async def ask_for_reordering(work: UnitOfWork, data: RunReorderingInput | None = None) -> ReorderingRunView:
    """Have the rules looked at after the answer; once, while an equal job is not over. Raises UnknownReference."""
    warehouse = str(data.warehouse_id) if data is not None and data.warehouse_id is not None else None
    if warehouse is not None:
        [found] = await work.load(WAREHOUSE(warehouse_id=warehouse))
        if not found:
            raise UnknownReference("There is no warehouse with this id.", pointer="/warehouse_id")
    key = f"reorder:{warehouse or 'all'}"
    work.enqueue(JOB_KIND, {"warehouse_id": warehouse}, queue="low", unique_key=key)
    [[(job_id,)]] = await work.load(UNFINISHED_JOB(unique_key=key))
    return ReorderingRunView(job_id=job_id)


async def propose(
    work: UnitOfWork, after: UUID, limit: int, warehouse_id: UUID | None = None
) -> tuple[UUID | None, int]:
    """Look at the next `limit` rules; (the last of them, None at the end; how many proposals were made).

    May run any number of times and at once: a rule has one open proposal.
    """
    [rules] = await work.load(LOCK_RULES(after=after, at_most=limit, warehouse_id=warehouse_id))
    if not rules:
        return None, 0
    ids = [rule_id for (rule_id,) in rules]
    [made] = await work.load(PROPOSE(rule_ids=ids, today=work.today))
    for row in made:
        _tell(work, "purchase_proposal", row.id, 1, "made", after=_facts(row))
    return (ids[-1] if len(ids) == limit else None), len(made)


async def accept_proposal(
    work: UnitOfWork, proposal_id: UUID, data: AcceptProposalInput | None = None
) -> PurchaseProposalView:
    """It becomes a draft purchase order. Raises NotFound, VersionConflict, InvalidState and what ordering raises."""
    asked = data or AcceptProposalInput()
    [found] = await work.peek(PROPOSAL(proposal_id=proposal_id))
    seen = _open(found, proposal_id)
    quantity = decimal(asked.quantity) if asked.quantity is not None else seen.quantity
    price = decimal(asked.unit_price) if asked.unit_price is not None else seen.unit_price
    line = PurchaseLineInput(
        product_id=seen.product_id, quantity=quantity_text(quantity), unit_price=quantity_text(price)
    )
    order = await create_order(
        work,
        CreatePurchaseOrderInput(
            party_id=seen.supplier_id, lines=[line], location_id=seen.location_id,
            expected_on=max(seen.expected_on, work.today),
        ),
    )  # fmt: skip
    before = await _locked(work, seen)
    after = before._replace(state="accepted", quantity=quantity, unit_price=price, order_id=order.id)
    return _decided(work, before, after, "accepted")


async def dismiss_proposal(work: UnitOfWork, proposal_id: UUID, data: DismissProposalInput) -> PurchaseProposalView:
    """The next run may propose it again. Raises NotFound, VersionConflict, InvalidState."""
    [found] = await work.load(PROPOSAL(proposal_id=proposal_id))
    before = await _locked(work, _open(found, proposal_id))
    return _decided(work, before, before._replace(state="dismissed", reason=data.reason), "dismissed")


async def _locked(work: UnitOfWork, seen: ProposalRow) -> ProposalRow:
    """The proposal behind its rule, both locked, as runs lock them."""
    _, found = await work.load(LOCK_RULE(rule_id=seen.rule_id), LOCK_PROPOSAL(proposal_id=seen.id))
    before = _open(found, seen.id)
    work.check_version(before.version)
    return before


def _open(found: Sequence[ProposalRow], proposal_id: UUID) -> ProposalRow:
    if not found:
        raise NotFound(proposal_id=str(proposal_id))
    if found[0].state != "open":
        raise InvalidState(f"The proposal has been {found[0].state}.", state=found[0].state)
    return found[0]


def _decided(work: UnitOfWork, before: ProposalRow, after: ProposalRow, what: str) -> PurchaseProposalView:
    after = after._replace(version=before.version + 1)
    work.save(
        DECIDE(
            proposal_id=after.id, new_state=after.state, new_order_id=after.order_id, new_quantity=after.quantity,
            new_unit_price=after.unit_price, new_reason=after.reason,
        )
    )  # fmt: skip
    _tell(
        work, "purchase_proposal", after.id, after.version, what, before={"state": before.state}, after=_facts(after)
    )
    return proposal_view(after)


async def _rule(work: UnitOfWork, rule_id: UUID) -> RuleRow:
    [found] = await work.load(LOCK_RULE(rule_id=rule_id))
    if not found:
        raise NotFound(rule_id=str(rule_id))
    return found[0]


def _facts(row: RuleRow | ProposalRow) -> dict[str, Any]:
    left_out = {"id", "version", "created_at"}
    return {
        name: value if value is None or isinstance(value, bool | int) else str(value)
        for name, value in shown(row).items()
        if name not in left_out
    }


def _tell(
    work: UnitOfWork, what: str, of: UUID, version: int, happened: str, *, before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    work.publish(Event(what, of, version, f"{what}.{happened}", after or {}))
    work.audit(f"{what}.{happened}", what, of, before=before, after=after)
