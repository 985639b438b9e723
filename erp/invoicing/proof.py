"""What must be true of invoices and credit notes."""

from typing import Any, Final

from sqlalchemy import ColumnElement, Numeric, Select, and_, case, cast, func, or_, select

from db.statement import TENANT
from erp.accounting.models import account_roles, journal_entries, journal_lines, open_items
from erp.accounting.proof_check import Check, check, evidence_row
from erp.invoicing.models import invoice_lines, invoices
from erp.numbering.audit import number_audit

_ZERO = cast(0, Numeric)
_posted = and_(invoices.c.tenant_id == TENANT, invoices.c.state == "posted")
_sign = case((invoices.c.kind == "invoice", 1), else_=-1)


def _amounts(*values: ColumnElement[Any]) -> ColumnElement[str]:
    return func.concat_ws(" ", *(func.coalesce(value, _ZERO) for value in values))


_sums = (
    select(
        invoice_lines.c.invoice_id,
        func.count().label("lines"),
        func.sum(invoice_lines.c.net).label("net"),
        func.sum(invoice_lines.c.tax).label("tax"),
        func.sum(invoice_lines.c.gross).label("gross"),
    )
    .where(invoice_lines.c.tenant_id == TENANT)
    .group_by(invoice_lines.c.invoice_id)
    .subquery("sums")
)
TOTALS = check(
    "invoice-totals",
    "An invoice's net, tax and gross are the sums of its lines, and none of its lines is missing.",
    evidence_row(
        "invoices",
        invoices.c.id,
        _amounts(_sums.c.net, _sums.c.tax, _sums.c.gross, _sums.c.lines),
        _amounts(invoices.c.net, invoices.c.tax, invoices.c.gross, invoices.c.line_count),
    )
    .select_from(invoices.outerjoin(_sums, _sums.c.invoice_id == invoices.c.id))
    .where(
        invoices.c.tenant_id == TENANT,
        or_(
            invoices.c.net != func.coalesce(_sums.c.net, _ZERO),
            invoices.c.tax != func.coalesce(_sums.c.tax, _ZERO),
            invoices.c.gross != func.coalesce(_sums.c.gross, _ZERO),
            invoices.c.line_count != func.coalesce(_sums.c.lines, 0),
        ),
    ),
)


def _booked(role: str) -> ColumnElement[Any]:
    return func.coalesce(func.sum(journal_lines.c.base_amount).filter(account_roles.c.role == role), _ZERO)


_entries = (
    select(
        journal_lines.c.entry_id,
        _booked("receivables").label("receivables"),
        _booked("output_tax").label("output_tax"),
    )
    .join(
        account_roles,
        and_(
            account_roles.c.tenant_id == TENANT,
            account_roles.c.account_code == journal_lines.c.account_code,
            or_(account_roles.c.role == "receivables", account_roles.c.role == "output_tax"),
        ),
    )
    .where(journal_lines.c.tenant_id == TENANT)
    .group_by(journal_lines.c.entry_id)
    .subquery("entries")
)
BOOKED = check(
    "invoices-booked",
    "A posted invoice's entry moves receivables by its gross amount and output tax by its tax.",
    evidence_row(
        "invoices",
        invoices.c.id,
        _amounts(_sign * invoices.c.gross, -_sign * invoices.c.tax),
        _amounts(_entries.c.receivables, _entries.c.output_tax),
    )
    .select_from(invoices.outerjoin(_entries, _entries.c.entry_id == invoices.c.entry_id))
    .where(
        _posted,
        or_(
            func.coalesce(_entries.c.receivables, _ZERO) != _sign * invoices.c.gross,
            func.coalesce(_entries.c.output_tax, _ZERO) != -_sign * invoices.c.tax,
        ),
    ),
)

DATED = check(
    "invoice-entries",
    "Every sales entry belongs to one posted invoice and has its number and accounting date.",
    evidence_row(
        "journal_entries",
        journal_entries.c.id,
        func.concat_ws(" ", invoices.c.number, invoices.c.accounting_date),
        func.concat_ws(" ", journal_entries.c.number, journal_entries.c.date),
    )
    .select_from(
        journal_entries.outerjoin(
            invoices, and_(invoices.c.tenant_id == TENANT, invoices.c.entry_id == journal_entries.c.id)
        )
    )
    .where(
        journal_entries.c.tenant_id == TENANT,
        or_(journal_entries.c.source_type == "invoice", journal_entries.c.source_type == "credit_note"),
        or_(
            invoices.c.id.is_(None),
            invoices.c.number != journal_entries.c.number,
            invoices.c.accounting_date != journal_entries.c.date,
            invoices.c.id != journal_entries.c.source_id,
        ),
    ),
)

OPENED = check(
    "invoice-open-items",
    "A posted invoice has one open item of its gross amount, party and accounting date.",
    evidence_row(
        "invoices",
        invoices.c.id,
        func.concat_ws(" ", invoices.c.gross, invoices.c.party_id, invoices.c.accounting_date),
        func.concat_ws(" ", open_items.c.amount, open_items.c.party_id, open_items.c.date),
    )
    .select_from(
        invoices.outerjoin(
            open_items, and_(open_items.c.tenant_id == TENANT, open_items.c.document_id == invoices.c.id)
        )
    )
    .where(
        _posted,
        invoices.c.gross != 0,
        or_(
            open_items.c.id.is_(None),
            open_items.c.amount != invoices.c.gross,
            open_items.c.party_id != invoices.c.party_id,
            open_items.c.date != invoices.c.accounting_date,
            (open_items.c.direction == "debit") != (invoices.c.kind == "invoice"),
        ),
    ),
)


def _over_credited() -> Select[Any]:
    credit, taken = invoices.alias("credit"), invoice_lines.alias("taken")
    credited = (
        select(
            credit.c.credits_id,
            taken.c.credits_line_no,
            func.sum(taken.c.quantity).label("quantity"),
            func.sum(taken.c.gross).label("gross"),
        )
        .join(taken, and_(taken.c.tenant_id == TENANT, taken.c.invoice_id == credit.c.id))
        .where(credit.c.tenant_id == TENANT, credit.c.state == "posted", credit.c.credits_id.is_not(None))
        .group_by(credit.c.credits_id, taken.c.credits_line_no)
        .subquery("credited")
    )
    return (
        evidence_row(
            "invoice_lines",
            func.concat(credited.c.credits_id, "/", credited.c.credits_line_no),
            func.concat("at most ", _amounts(invoice_lines.c.quantity, invoice_lines.c.gross)),
            _amounts(credited.c.quantity, credited.c.gross),
        )
        .select_from(
            credited.outerjoin(
                invoice_lines,
                and_(
                    invoice_lines.c.tenant_id == TENANT,
                    invoice_lines.c.invoice_id == credited.c.credits_id,
                    invoice_lines.c.line_no == credited.c.credits_line_no,
                ),
            )
        )
        .where(
            or_(
                invoice_lines.c.line_no.is_(None),
                credited.c.quantity > invoice_lines.c.quantity,
                func.abs(credited.c.gross) > func.abs(invoice_lines.c.gross),
            )
        )
    )


CREDITED = check("credited", "No line is credited beyond what was invoiced.", _over_credited())


def _numbers(kind: str) -> Check:
    documents = select(invoices.c.number.label("number")).where(
        invoices.c.tenant_id == TENANT, invoices.c.kind == kind
    )
    words = kind.replace("_", " ")
    return check(
        f"{kind.replace('_', '-')}-numbers", f"Numbers of {words}s have no gap and no duplicate.",
        number_audit(kind, documents),
    )  # fmt: skip


CHECKS: Final[tuple[Check, ...]] = (
    TOTALS, BOOKED, DATED, OPENED, CREDITED, _numbers("invoice"), _numbers("credit_note"),
)  # fmt: skip
