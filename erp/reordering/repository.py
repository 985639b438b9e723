"""Statements of reorder rules and purchase proposals."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Date, Numeric, Text, Uuid, and_, bindparam, cast, func, literal_column, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from db.statement import TENANT, Statement, any_of
from erp.inventory.models import incoming_stock, locations, stock_levels
from erp.jobs.models import jobs
from erp.purchasing.models import purchase_orders
from erp.reordering.models import purchase_proposals, reorder_rules


class RuleRow(NamedTuple):
    id: UUID
    version: int
    product_id: UUID
    warehouse_id: UUID
    location_id: UUID
    supplier_id: UUID
    minimum: Decimal
    target: Decimal
    multiple: Decimal
    lead_days: int
    unit_price: Decimal
    active: bool
    created_at: datetime


class ProposalRow(NamedTuple):
    id: UUID
    version: int
    rule_id: UUID
    product_id: UUID
    supplier_id: UUID
    location_id: UUID
    state: str
    quantity: Decimal
    unit_price: Decimal
    available: Decimal
    incoming: Decimal
    expected_on: date
    order_id: UUID | None
    reason: str
    created_at: datetime


RULE_COLUMNS = tuple(reorder_rules.c[name] for name in RuleRow._fields)
PROPOSAL_COLUMNS = tuple(purchase_proposals.c[name] for name in ProposalRow._fields)
RULE_CHANGING = ("supplier_id", "minimum", "target", "multiple", "lead_days", "unit_price", "active")

_rule = (reorder_rules.c.tenant_id == TENANT, reorder_rules.c.id == bindparam("rule_id", type_=Uuid))
LOCK_RULE: Statement[RuleRow] = Statement(select(*RULE_COLUMNS).where(*_rule).with_for_update(), RuleRow)
ADD_RULE = Statement(
    insert(reorder_rules).values(tenant_id=TENANT, **{name: bindparam(name) for name in RuleRow._fields})
)
SET_RULE = Statement(
    update(reorder_rules)
    .where(*_rule)
    .values(version=reorder_rules.c.version + 1, **{name: bindparam(f"new_{name}") for name in RULE_CHANGING})
)

_warehouse = cast(bindparam("warehouse_id"), Uuid)
#: The next rules to look at, locked: whoever accepts a proposal of one meanwhile has done it or comes after.
LOCK_RULES: Statement[tuple[UUID]] = Statement(
    select(reorder_rules.c.id)
    .where(
        reorder_rules.c.tenant_id == TENANT, reorder_rules.c.active,
        reorder_rules.c.id > bindparam("after", type_=Uuid),
        or_(_warehouse.is_(None), reorder_rules.c.warehouse_id == _warehouse),
    )
    .order_by(reorder_rules.c.id)
    .limit(bindparam("at_most"))
    .with_for_update()
)  # fmt: skip

_here = (
    select(locations.c.id)
    .where(locations.c.tenant_id == TENANT, locations.c.warehouse_id == reorder_rules.c.warehouse_id)
    .correlate(reorder_rules)
)
_NOTHING: Any = cast(0, Numeric)


def _sum(table: Any, quantity: Any) -> Any:
    """Of the rule's product in the rule's warehouse."""
    of_rule = and_(table.c.tenant_id == TENANT, table.c.product_id == reorder_rules.c.product_id)
    found = select(func.coalesce(func.sum(quantity), _NOTHING)).where(of_rule, table.c.location_id.in_(_here))
    return found.correlate(reorder_rules).scalar_subquery()


#: Of proposals that were accepted, as long as nobody has placed or given up their order.
_drafted = (
    select(func.coalesce(func.sum(purchase_proposals.c.quantity), _NOTHING))
    .select_from(
        purchase_proposals.join(
            purchase_orders,
            and_(
                purchase_orders.c.tenant_id == purchase_proposals.c.tenant_id,
                purchase_orders.c.id == purchase_proposals.c.order_id,
            ),
        )
    )
    .where(
        purchase_proposals.c.tenant_id == TENANT, purchase_proposals.c.rule_id == reorder_rules.c.id,
        purchase_orders.c.state == literal_column("'draft'"),
    )
    .correlate(reorder_rules)
    .scalar_subquery()
)  # fmt: skip
_state = (
    select(
        *RULE_COLUMNS,
        _sum(stock_levels, stock_levels.c.on_hand - stock_levels.c.reserved).label("available"),
        (_sum(incoming_stock, incoming_stock.c.quantity) + _drafted).label("incoming"),
    )
    .where(reorder_rules.c.tenant_id == TENANT, reorder_rules.c.id == any_of("rule_ids", Uuid))
    .subquery("state")
)
_short = _state.c.target - _state.c.available - _state.c.incoming
#: In the open of the rules' locks, so that it sees what was decided before them; the key lets one proposal be open.
PROPOSE: Statement[ProposalRow] = Statement(
    insert(purchase_proposals)
    .from_select(
        ["tenant_id", "id", "rule_id", "product_id", "supplier_id", "location_id", "quantity", "unit_price",
         "available", "incoming", "expected_on"],
        select(
            cast(TENANT, Uuid), func.gen_random_uuid(), _state.c.id, _state.c.product_id, _state.c.supplier_id,
            _state.c.location_id, func.ceil(_short / _state.c.multiple) * _state.c.multiple, _state.c.unit_price,
            _state.c.available, _state.c.incoming, cast(bindparam("today"), Date) + _state.c.lead_days,
        ).where(_state.c.available + _state.c.incoming < _state.c.minimum, _short > 0),
    )
    .on_conflict_do_nothing()
    .returning(*PROPOSAL_COLUMNS),
    ProposalRow,
)  # fmt: skip

_proposal = (
    purchase_proposals.c.tenant_id == TENANT,
    purchase_proposals.c.id == bindparam("proposal_id", type_=Uuid),
)
PROPOSAL: Statement[ProposalRow] = Statement(select(*PROPOSAL_COLUMNS).where(*_proposal), ProposalRow)
LOCK_PROPOSAL: Statement[ProposalRow] = Statement(
    select(*PROPOSAL_COLUMNS).where(*_proposal).with_for_update(), ProposalRow
)
DECIDE = Statement(
    update(purchase_proposals)
    .where(*_proposal)
    .values(
        state=bindparam("new_state"), order_id=cast(bindparam("new_order_id"), Uuid),
        quantity=bindparam("new_quantity"), unit_price=bindparam("new_unit_price"), reason=bindparam("new_reason"),
        version=purchase_proposals.c.version + 1,
    )
)  # fmt: skip
UNFINISHED_JOB: Statement[tuple[UUID]] = Statement(
    select(jobs.c.id).where(
        jobs.c.tenant_id == TENANT,
        jobs.c.unique_key == bindparam("unique_key", type_=Text),
        jobs.c.phase == literal_column("'unfinished'"),
    )
)
