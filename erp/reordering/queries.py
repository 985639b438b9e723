"""Reading reorder rules and purchase proposals."""

from sqlalchemy import Uuid, bindparam, select

from db.statement import TENANT, Statement
from erp.http.filters import eq, in_, span
from erp.http.listing import Listing
from erp.reordering.models import purchase_proposals, reorder_rules
from erp.reordering.repository import PROPOSAL_COLUMNS, RULE_COLUMNS, ProposalRow, RuleRow

_rules = select(*RULE_COLUMNS).where(reorder_rules.c.tenant_id == TENANT)
RULE: Statement[RuleRow] = Statement(
    _rules.where(reorder_rules.c.id == bindparam("rule_id", type_=Uuid)), RuleRow
)  # fmt: skip
RULES: Listing[RuleRow] = Listing(
    select=_rules,
    row=RuleRow,
    key=reorder_rules.c.id,
    sorts={"created_at": reorder_rules.c.created_at},
    default="-created_at",
    filters={
        "product_id": eq(reorder_rules.c.product_id),
        "warehouse_id": eq(reorder_rules.c.warehouse_id),
        "supplier_id": eq(reorder_rules.c.supplier_id),
        "active": eq(reorder_rules.c.active),
    },
)
PROPOSALS: Listing[ProposalRow] = Listing(
    select=select(*PROPOSAL_COLUMNS).where(purchase_proposals.c.tenant_id == TENANT),
    row=ProposalRow,
    key=purchase_proposals.c.id,
    sorts={"created_at": purchase_proposals.c.created_at},
    default="-created_at",
    filters={
        "state": in_(purchase_proposals.c.state),
        "rule_id": eq(purchase_proposals.c.rule_id),
        "product_id": eq(purchase_proposals.c.product_id),
        "supplier_id": eq(purchase_proposals.c.supplier_id),
        "created_at": span(purchase_proposals.c.created_at),
    },
)
