"""What must be true of payments."""

from typing import Any, Final

from sqlalchemy import ColumnElement, Numeric, ScalarSelect, and_, case, cast, func, or_, select

from db.statement import TENANT
from erp.accounting.models import account_roles, allocations, journal_entries, journal_lines
from erp.accounting.proof_check import Check, check, evidence_row
from erp.numbering.audit import number_audit
from erp.payments.models import payments

_ZERO = cast(0, Numeric)
#: Money in is a debit on the bank account.
_sign = case((payments.c.direction == "in", 1), else_=-1)

_settled = (
    select(allocations.c.counter_id, func.sum(allocations.c.amount).label("amount"))
    .where(allocations.c.tenant_id == TENANT, allocations.c.counter_type == "payment")
    .group_by(allocations.c.counter_id)
    .subquery("settled")
)
_used = func.coalesce(_settled.c.amount, _ZERO)
_left: ColumnElement[Any] = case((payments.c.state == "reversed", -_used), else_=payments.c.amount - _used)

UNALLOCATED = check(
    "payments-unallocated",
    "What is left of a payment is its amount less its allocations; a reversed one settles nothing.",
    evidence_row("payments", payments.c.id, _left, payments.c.unallocated)
    .select_from(payments.outerjoin(_settled, _settled.c.counter_id == payments.c.id))
    .where(payments.c.tenant_id == TENANT, payments.c.unallocated != _left),
)

ALLOCATED = check(
    "allocations-of-payments",
    "Every allocation made with a payment belongs to a payment there is.",
    evidence_row("allocations", allocations.c.id, "a payment", allocations.c.counter_id).where(
        allocations.c.tenant_id == TENANT,
        allocations.c.counter_type == "payment",
        ~select(payments.c.id)
        .where(payments.c.tenant_id == TENANT, payments.c.id == allocations.c.counter_id)
        .exists(),
    ),
)


def _account(role: str) -> ScalarSelect[Any]:
    return (
        select(account_roles.c.account_code)
        .where(account_roles.c.tenant_id == TENANT, account_roles.c.role == role)
        .scalar_subquery()
    )


def _booked_on(account: ColumnElement[Any], entry: ColumnElement[Any]) -> ColumnElement[Any]:
    return (
        select(func.coalesce(func.sum(journal_lines.c.base_amount), _ZERO))
        .where(
            journal_lines.c.tenant_id == TENANT,
            journal_lines.c.entry_id == entry,
            journal_lines.c.account_code == account,
        )
        .scalar_subquery()
    )


_money = _booked_on(payments.c.account_code, payments.c.entry_id)
_money_back = _booked_on(payments.c.account_code, payments.c.reversal_entry_id)
BOOKED = check(
    "payments-booked",
    "A payment's entry moves its bank account by its amount, and its reversal moves it back.",
    evidence_row(
        "payments",
        payments.c.id,
        func.concat(_sign * payments.c.amount, case((payments.c.state == "reversed", " and back"), else_="")),
        func.concat(_money, " and ", _money_back),
    ).where(
        payments.c.tenant_id == TENANT,
        or_(
            _money != _sign * payments.c.amount,
            _money_back != case((payments.c.state == "reversed", -_sign * payments.c.amount), else_=_ZERO),
        ),
    ),
)

_by_entry = (
    select(
        allocations.c.entry_id,
        payments.c.side,
        func.sum(-_sign * allocations.c.amount).label("amount"),
    )
    .join(payments, and_(payments.c.tenant_id == TENANT, payments.c.id == allocations.c.counter_id))
    .where(allocations.c.tenant_id == TENANT, allocations.c.counter_type == "payment")
    .group_by(allocations.c.entry_id, payments.c.side)
    .subquery("by_entry")
)
_control = _booked_on(
    case((_by_entry.c.side == "receivable", _account("receivables")), else_=_account("payables")),
    _by_entry.c.entry_id,
)
SETTLED = check(
    "allocations-booked",
    "The entry of an allocation moves the control account by what was allocated.",
    evidence_row("journal_entries", _by_entry.c.entry_id, _by_entry.c.amount, _control).where(
        _by_entry.c.amount != _control
    ),
)


def _advances(role: str, side: str) -> Check:
    """The account for advances against what is left of the payments of its side."""
    balance = (
        select(func.coalesce(func.sum(journal_lines.c.base_amount), _ZERO))
        .where(journal_lines.c.tenant_id == TENANT, journal_lines.c.account_code == _account(role))
        .scalar_subquery()
    )
    left = (
        select(func.coalesce(func.sum(-_sign * payments.c.unallocated), _ZERO))
        .where(payments.c.tenant_id == TENANT, payments.c.side == side)
        .scalar_subquery()
    )
    both = select(_account(role).label("account"), balance.label("balance"), left.label("unallocated")).subquery(
        "both"
    )
    return check(
        f"{role.replace('_', '-')}-account",
        f"The account for {role.replace('_', ' ')} equals what is left of the payments.",
        evidence_row("accounts", both.c.account, both.c.unallocated, both.c.balance).where(
            both.c.unallocated != both.c.balance
        ),
    )


ENTRIES = check(
    "payment-entries",
    "Every entry of a payment belongs to a payment.",
    evidence_row("journal_entries", journal_entries.c.id, "a payment", journal_entries.c.source_id).where(
        journal_entries.c.tenant_id == TENANT,
        journal_entries.c.source_type == "payment",
        ~select(payments.c.id)
        .where(payments.c.tenant_id == TENANT, payments.c.id == journal_entries.c.source_id)
        .exists(),
    ),
)

NUMBERS = check(
    "payment-numbers",
    "Payment numbers have no gap and no duplicate.",
    number_audit("payment", select(payments.c.number.label("number")).where(payments.c.tenant_id == TENANT)),
)

CHECKS: Final[tuple[Check, ...]] = (
    UNALLOCATED,
    ALLOCATED,
    BOOKED,
    SETTLED,
    ENTRIES,
    _advances("customer_advances", "receivable"),
    _advances("supplier_advances", "payable"),
    NUMBERS,
)
