"""Reorder rules and purchase proposals as the API shows them."""

from decimal import Decimal
from typing import Any

from erp.kernel.quantity import quantity_text
from erp.reordering.repository import ProposalRow, RuleRow
from erp.reordering.schemas import PurchaseProposalView, ReorderRuleView


def rule_view(row: RuleRow) -> ReorderRuleView:
    return ReorderRuleView(**shown(row))


def proposal_view(row: ProposalRow) -> PurchaseProposalView:
    return PurchaseProposalView(**shown(row))


def shown(row: RuleRow | ProposalRow) -> dict[str, Any]:
    """Its fields, numbers as text."""
    return {
        name: quantity_text(value) if isinstance(value, Decimal) else value for name, value in row._asdict().items()
    }
