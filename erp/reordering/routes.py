"""Reorder rules and purchase proposals over HTTP."""

from typing import Any
from uuid import UUID

from litestar import Router, get, patch, post

from erp.http.answers import Reply
from erp.http.commands import Command, perform, read_one, show
from erp.http.listing import Page, list_page
from erp.http.request import ApiRequest
from erp.reordering import errors as errors  # what its constraints mean
from erp.reordering import service
from erp.reordering.queries import PROPOSALS, RULE, RULES
from erp.reordering.repository import PROPOSAL
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
from erp.reordering.views import proposal_view, rule_view

_READ, _WRITE = "purchase_orders:read", "purchase_orders:write"
CREATE = Command("reorder_rules.create", service.create_rule, _WRITE, CreateReorderRuleInput, status=201)
UPDATE = Command(
    "reorder_rules.update", service.update_rule, _WRITE, UpdateReorderRuleInput, target=True, match="required"
)
RUN = Command(
    "purchase_proposals.run", service.ask_for_reordering, _WRITE, RunReorderingInput, status=202, key="required"
)
ACCEPT = Command(
    "purchase_proposals.accept", service.accept_proposal, _WRITE, AcceptProposalInput, target=True, key="required",
    match="accepted",
)  # fmt: skip
DISMISS = Command(
    "purchase_proposals.dismiss", service.dismiss_proposal, _WRITE, DismissProposalInput, target=True,
    match="accepted",
)  # fmt: skip
COMMANDS = (CREATE, UPDATE, RUN, ACCEPT, DISMISS)


@post("/reorder-rules", summary="Create a reorder rule")
async def create_rule(request: ApiRequest, data: CreateReorderRuleInput) -> Reply[ReorderRuleView]:
    """When a product is to be bought again for a warehouse. Have the rules looked at by a schedule of the kind
    `reorder`, or at once."""
    return await perform(request, CREATE, data)


@patch("/reorder-rules/{rule_id:uuid}", summary="Change a reorder rule")
async def update_rule(request: ApiRequest, rule_id: UUID, data: UpdateReorderRuleInput) -> Reply[ReorderRuleView]:
    """Only the fields that are sent change. A proposal that is open stays as it is."""
    return await perform(request, UPDATE, data, rule_id)


@get("/reorder-rules/{rule_id:uuid}", summary="Read a reorder rule")
async def get_rule(request: ApiRequest, rule_id: UUID) -> Reply[ReorderRuleView]:
    found = await read_one(request, _READ, RULE(rule_id=rule_id), rule_id=rule_id)
    return show(rule_view(found))


@get("/reorder-rules", summary="List reorder rules", opt={"listing": RULES})
async def list_rules(request: ApiRequest) -> Reply[Page[ReorderRuleView]]:
    page: Reply[Any] = await list_page(request, _READ, RULES, rule_view)
    return page


@post("/purchase-proposals/run", status_code=202, summary="Look at the reorder rules now")
async def run_reordering(request: ApiRequest, data: RunReorderingInput | None = None) -> Reply[ReorderingRunView]:
    """After the answer, by a job; proposals are in their list when it is done."""
    return await perform(request, RUN, data)


@post("/purchase-proposals/{proposal_id:uuid}/accept", status_code=200, summary="Accept a purchase proposal")
async def accept_proposal(
    request: ApiRequest, proposal_id: UUID, data: AcceptProposalInput | None = None
) -> Reply[PurchaseProposalView]:
    """It becomes a draft purchase order to its supplier, which somebody then confirms."""
    return await perform(request, ACCEPT, data, proposal_id)


@post("/purchase-proposals/{proposal_id:uuid}/dismiss", status_code=200, summary="Dismiss a purchase proposal")
async def dismiss_proposal(
    request: ApiRequest, proposal_id: UUID, data: DismissProposalInput
) -> Reply[PurchaseProposalView]:
    """Not now: the next run proposes it again when it is still needed."""
    return await perform(request, DISMISS, data, proposal_id)


@get("/purchase-proposals/{proposal_id:uuid}", summary="Read a purchase proposal")
async def get_proposal(request: ApiRequest, proposal_id: UUID) -> Reply[PurchaseProposalView]:
    found = await read_one(request, _READ, PROPOSAL(proposal_id=proposal_id), proposal_id=proposal_id)
    return show(proposal_view(found))


@get("/purchase-proposals", summary="List purchase proposals", opt={"listing": PROPOSALS})
async def list_proposals(request: ApiRequest) -> Reply[Page[PurchaseProposalView]]:
    """Those to decide about are `?state=open`."""
    page: Reply[Any] = await list_page(request, _READ, PROPOSALS, proposal_view)
    return page


router = Router(
    "/v1",
    route_handlers=[
        create_rule, update_rule, get_rule, list_rules, run_reordering, accept_proposal, dismiss_proposal,
        get_proposal, list_proposals,
    ],
    tags=["Reordering"],
)  # fmt: skip
