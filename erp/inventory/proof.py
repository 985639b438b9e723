"""What must be true of stock, recomputed from its moves, reservations and the ledger."""

from typing import Final

from sqlalchemy import Numeric, and_, cast, func, or_, select

from db.statement import TENANT
from erp.accounting.models import account_roles, journal_entries, journal_lines
from erp.accounting.proof_check import Check, check, evidence_row
from erp.inventory.history import inventory_account_balance
from erp.inventory.models import (
    cost_correction_lines,
    cost_corrections,
    product_costs,
    reservations,
    stock_adjustments,
    stock_levels,
    stock_moves,
)
from erp.numbering.audit import number_audit

_ZERO = cast(0, Numeric)

_by_level = (
    select(stock_moves.c.product_id, stock_moves.c.location_id, func.sum(stock_moves.c.quantity).label("quantity"))
    .where(stock_moves.c.tenant_id == TENANT)
    .group_by(stock_moves.c.product_id, stock_moves.c.location_id)
    .subquery("by_level")
)
_level_id = func.concat(stock_levels.c.product_id, "/", stock_levels.c.location_id)
_moved = func.coalesce(_by_level.c.quantity, _ZERO)
ON_HAND = check(
    "on-hand",
    "What is on hand in a location is the sum of its moves.",
    evidence_row("stock_levels", _level_id, _moved, stock_levels.c.on_hand)
    .select_from(
        stock_levels.outerjoin(
            _by_level,
            and_(
                _by_level.c.product_id == stock_levels.c.product_id,
                _by_level.c.location_id == stock_levels.c.location_id,
            ),
        )
    )
    .where(stock_levels.c.tenant_id == TENANT, stock_levels.c.on_hand != _moved),
)

_claims = (
    select(
        reservations.c.product_id,
        reservations.c.location_id,
        func.sum(reservations.c.open_quantity).label("quantity"),
    )
    .where(reservations.c.tenant_id == TENANT, reservations.c.state == "active")
    .group_by(reservations.c.product_id, reservations.c.location_id)
    .subquery("claims")
)
_claimed = func.coalesce(_claims.c.quantity, _ZERO)
RESERVED = check(
    "reserved",
    "What is reserved in a location is the sum of its active reservations, and never more than is on hand.",
    evidence_row("stock_levels", _level_id, _claimed, stock_levels.c.reserved)
    .select_from(
        stock_levels.outerjoin(
            _claims,
            and_(
                _claims.c.product_id == stock_levels.c.product_id,
                _claims.c.location_id == stock_levels.c.location_id,
            ),
        )
    )
    .where(
        stock_levels.c.tenant_id == TENANT,
        or_(stock_levels.c.reserved != _claimed, stock_levels.c.reserved > stock_levels.c.on_hand),
    ),
)

_by_product = (
    select(
        stock_moves.c.product_id,
        func.sum(stock_moves.c.quantity).label("quantity"),
        func.sum(stock_moves.c.value).label("value"),
    )
    .where(stock_moves.c.tenant_id == TENANT)
    .group_by(stock_moves.c.product_id)
    .subquery("by_product")
)
_quantity, _value = func.coalesce(_by_product.c.quantity, _ZERO), func.coalesce(_by_product.c.value, _ZERO)
COSTS = check(
    "product-costs",
    "Quantity and value a product is costed with are the sums of its moves.",
    evidence_row(
        "product_costs",
        product_costs.c.product_id,
        func.concat(_quantity, " worth ", _value),
        func.concat(product_costs.c.quantity, " worth ", product_costs.c.value),
    )
    .select_from(product_costs.outerjoin(_by_product, _by_product.c.product_id == product_costs.c.product_id))
    .where(
        product_costs.c.tenant_id == TENANT,
        or_(product_costs.c.quantity != _quantity, product_costs.c.value != _value),
    ),
)

_worth = select(func.coalesce(func.sum(product_costs.c.value), _ZERO)).where(product_costs.c.tenant_id == TENANT)
_both = select(_worth.scalar_subquery().label("worth"), inventory_account_balance().label("balance")).subquery("both")
STOCK_VALUE = check(
    "inventory-account",
    "The value of all stock is the balance of the inventory account.",
    evidence_row("accounts", func.concat("@", "inventory"), _both.c.worth, _both.c.balance).where(
        _both.c.worth != _both.c.balance
    ),
)

_line = and_(
    journal_lines.c.tenant_id == stock_moves.c.tenant_id,
    journal_lines.c.entry_id == stock_moves.c.entry_id,
    journal_lines.c.line_no == stock_moves.c.line_no,
)
_account = (
    select(account_roles.c.account_code)
    .where(account_roles.c.tenant_id == TENANT, account_roles.c.role == "inventory")
    .scalar_subquery()
)
MOVES_POSTED = check(
    "moves-posted",
    "Every move that has a value has its journal line on the inventory account: same amount, date and product.",
    evidence_row(
        "stock_moves",
        stock_moves.c.id,
        func.concat_ws(" ", stock_moves.c.value, stock_moves.c.date, stock_moves.c.product_id),
        func.concat_ws(" ", journal_lines.c.base_amount, journal_lines.c.date, journal_lines.c.product_id),
    )
    .select_from(stock_moves.outerjoin(journal_lines, _line))
    .where(
        stock_moves.c.tenant_id == TENANT,
        stock_moves.c.value != 0,
        or_(
            journal_lines.c.base_amount.is_distinct_from(stock_moves.c.value),
            journal_lines.c.date.is_distinct_from(stock_moves.c.date),
            journal_lines.c.product_id.is_distinct_from(stock_moves.c.product_id),
            journal_lines.c.account_code.is_distinct_from(_account),
        ),
    ),
)

LINES_MOVED = check(
    "inventory-lines-moved",
    "Every journal line on the inventory account belongs to one stock move.",
    evidence_row(
        "journal_lines",
        func.concat(journal_lines.c.entry_id, "/", journal_lines.c.line_no),
        "a stock move",
        journal_entries.c.number,
    )
    .select_from(
        journal_lines.join(
            journal_entries,
            and_(
                journal_entries.c.tenant_id == journal_lines.c.tenant_id,
                journal_entries.c.id == journal_lines.c.entry_id,
            ),
        ).outerjoin(stock_moves, _line)
    )
    .where(journal_lines.c.tenant_id == TENANT, journal_lines.c.account_code == _account, stock_moves.c.id.is_(None)),
)

_days = (
    select(
        stock_moves.c.product_id,
        stock_moves.c.location_id,
        stock_moves.c.date,
        func.sum(func.sum(stock_moves.c.quantity))
        .over(partition_by=[stock_moves.c.product_id, stock_moves.c.location_id], order_by=stock_moves.c.date)
        .label("left"),
    )
    .where(stock_moves.c.tenant_id == TENANT)
    .group_by(stock_moves.c.product_id, stock_moves.c.location_id, stock_moves.c.date)
    .subquery("days")
)
NEVER_NEGATIVE = check(
    "never-negative",
    "At the end of no day was less than nothing in a location.",
    evidence_row(
        "stock_moves",
        func.concat(_days.c.product_id, "/", _days.c.location_id, " ", _days.c.date),
        "0 or more",
        _days.c.left,
    ).where(_days.c.left < 0),
)

_corrected = (
    select(
        cost_correction_lines.c.correction_id,
        cost_correction_lines.c.product_id,
        func.sum(cost_correction_lines.c.amount).label("amount"),
    )
    .where(cost_correction_lines.c.tenant_id == TENANT)
    .group_by(cost_correction_lines.c.correction_id, cost_correction_lines.c.product_id)
    .subquery("corrected")
)
_corrections = (
    select(stock_moves.c.source_id, stock_moves.c.product_id, func.sum(stock_moves.c.value).label("amount"))
    .where(stock_moves.c.tenant_id == TENANT, stock_moves.c.kind == "correction")
    .group_by(stock_moves.c.source_id, stock_moves.c.product_id)
    .subquery("corrections")
)
CORRECTIONS = check(
    "cost-corrections",
    "What a correction moves of a product's value is the sum over the issues it puts right.",
    evidence_row(
        "cost_corrections",
        func.concat(
            func.coalesce(_corrected.c.correction_id, _corrections.c.source_id),
            "/",
            func.coalesce(_corrected.c.product_id, _corrections.c.product_id),
        ),
        func.coalesce(_corrected.c.amount, _ZERO),
        func.coalesce(_corrections.c.amount, _ZERO),
    )
    .select_from(
        _corrected.join(
            _corrections,
            and_(
                _corrections.c.source_id == _corrected.c.correction_id,
                _corrections.c.product_id == _corrected.c.product_id,
            ),
            full=True,
        )
    )
    .where(func.coalesce(_corrected.c.amount, _ZERO) != func.coalesce(_corrections.c.amount, _ZERO)),
)
CORRECTION_NUMBERS = check(
    "correction-numbers",
    "Numbers of cost corrections have no gap and no duplicate.",
    number_audit("cost_correction", select(cost_corrections.c.number).where(cost_corrections.c.tenant_id == TENANT)),
)

NUMBERS = check(
    "adjustment-numbers",
    "Numbers of stock adjustments have no gap and no duplicate.",
    number_audit("adjustment", select(stock_adjustments.c.number).where(stock_adjustments.c.tenant_id == TENANT)),
)

CHECKS: Final[tuple[Check, ...]] = (
    ON_HAND,
    RESERVED,
    COSTS,
    STOCK_VALUE,
    MOVES_POSTED,
    LINES_MOVED,
    NEVER_NEGATIVE,
    CORRECTIONS,
    NUMBERS,
    CORRECTION_NUMBERS,
)
