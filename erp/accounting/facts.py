"""What other slices may ask of the ledger: accounts a request names, and what is open of a document."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Date, Numeric, Subquery, bindparam, case, cast, func, select

from db.statement import TENANT, Bound
from erp.accounting.accounts_repository import NAMED_ACCOUNTS, NamedAccount
from erp.accounting.chart import CONTROL_ROLES, ROLES
from erp.accounting.errors import AccountInactive, ControlAccount
from erp.accounting.models import open_items
from erp.kernel.errors import UnknownReference

#: Accounts an invoice or payment line may not be booked on: they mean something to their documents.
ALL_ROLES = frozenset(ROLES)

__all__ = [
    "ALL_ROLES",
    "NamedAccount",
    "check_accounts",
    "named_accounts",
    "open_amount_of",
    "open_receivables_of",
    "overdue_documents",
]


def named_accounts(names: Iterable[str]) -> Bound[NamedAccount]:
    """The accounts with these codes or `@roles`."""
    wanted = set(names)
    return NAMED_ACCOUNTS(
        codes=sorted(name for name in wanted if not name.startswith("@")),
        roles=sorted(name[1:] for name in wanted if name.startswith("@")),
    )


def check_accounts(
    accounts: Sequence[NamedAccount], names: Iterable[tuple[str, str]], *, kept: frozenset[str] = CONTROL_ROLES
) -> None:
    """Raises unless each (name, JSON pointer) is an active account without any of the `kept` roles."""
    known = {account.code: account for account in accounts}
    known |= {f"@{role}": account for account in accounts for role in account.roles}
    for name, pointer in names:
        if (account := known.get(name)) is None:
            raise UnknownReference(f"There is no account {name}.", pointer=pointer, account=name)
        if not account.active:
            raise AccountInactive(f"Account {account.code} is inactive.", pointer=pointer, account=account.code)
        if taken := kept.intersection(account.roles):
            raise ControlAccount(
                f"Account {account.code} is kept by documents (@{min(taken)}).",
                pointer=pointer, account=account.code, roles=sorted(taken),
            )  # fmt: skip


def open_amount_of(document_id: ColumnElement[Any]) -> ColumnElement[Any]:
    """What is open of the document, as a column of a query on documents; NULL when it has no open item."""
    return (
        select(open_items.c.open_amount)
        .where(open_items.c.tenant_id == TENANT, open_items.c.document_id == document_id)
        .scalar_subquery()
    )


def open_receivables_of(party_id: ColumnElement[Any]) -> ColumnElement[Any]:
    """What the party owes: open invoices less open credit notes, as a column."""
    signed = case((open_items.c.direction == "debit", open_items.c.open_amount), else_=-open_items.c.open_amount)
    return (
        select(func.coalesce(func.sum(signed), cast(0, Numeric)))
        .where(
            open_items.c.tenant_id == TENANT,
            open_items.c.party_id == party_id,
            open_items.c.side == "receivable",
            open_items.c.settled_on.is_(None),
        )
        .scalar_subquery()
    )


def overdue_documents(document_type: str) -> Subquery:
    """(document_id, due_date) of the documents of this type past due on `today` with something open."""
    return (
        select(open_items.c.document_id, open_items.c.due_date)
        .where(
            open_items.c.tenant_id == TENANT,
            open_items.c.side == "receivable",
            open_items.c.direction == "debit",
            open_items.c.document_type == document_type,
            open_items.c.settled_on.is_(None),
            open_items.c.due_date < cast(bindparam("today"), Date),
        )
        .subquery("overdue")
    )
