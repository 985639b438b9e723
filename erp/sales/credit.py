"""The credit limit: what a customer owes and has ordered, before another order is confirmed.

Exposure is what is open of the customer's invoices, less its credit notes and advances, and what its confirmed
orders will still be invoiced for. An order is confirmed when exposure and order together stay within the limit, or
when somebody who may overrides it and says why.

A party with a limit is locked while this is counted, so that of two orders at the same time the second counts the
first. Nothing is locked or counted for a party without one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from db.statement import Bound
from erp.kernel.money import money_text, round_money
from erp.parties.facts import LimitRow, PartyFacts, locked_limit
from erp.sales.credit_queries import EXPOSURE, ExposureRow
from erp.sales.documents import CreditView
from erp.sales.errors import CreditLimitExceeded
from tenancy.locks import account_operation
from tenancy.work import UnitOfWork

OVERRIDE: Final = "credit_limits:override"


@dataclass(frozen=True, slots=True)
class Exposure:
    """Rounded amounts in the tenant's currency; `uninvoiced`: of confirmed orders, not on a posted invoice yet."""

    receivables: Decimal
    advances: Decimal
    uninvoiced: Decimal

    @property
    def total(self) -> Decimal:
        return self.receivables - self.advances + self.uninvoiced


def exposure_of(row: ExposureRow, currency: str) -> Exposure:
    return Exposure(row.receivables, row.advances, round_money(row.drafted + row.ordered, currency))


def check_may_override(work: UnitOfWork, reason: str | None) -> None:
    """Raises Forbidden when the request overrides the limit and the caller may not."""
    if reason is not None:
        work.caller.require(OVERRIDE)


async def credit_operation(work: UnitOfWork, party_id: UUID, *, limited: bool) -> None:
    """Guard the party before stock is guarded. Raises LockTimeout."""
    if limited:
        await account_operation(work, [party_id])


def credit_loads(party_id: UUID, *, limited: bool) -> tuple[Bound[Any], ...]:
    """For `check_credit`: behind the order's lock, before those of stock. Nothing for a party without a limit."""
    return (locked_limit(party_id), EXPOSURE(party_id=party_id)) if limited else ()


def check_credit(
    work: UnitOfWork, amount: Decimal, loaded: Sequence[Sequence[Any]], override: str | None
) -> dict[str, Any]:
    """What to tell of an order of this gross amount that was confirmed beyond the limit; empty within it.

    `loaded`: the rows of `credit_loads`. Raises CreditLimitExceeded.
    """
    if not loaded:
        return {}
    [[party], [row]] = loaded
    return _decided(party, exposure_of(row, work.tenant.base_currency), amount, override, work.tenant.base_currency)


def _decided(
    party: LimitRow, exposure: Exposure, amount: Decimal, override: str | None, currency: str
) -> dict[str, Any]:
    limit = party.credit_limit
    if limit is None or not amount or exposure.total + amount <= limit:
        return {}
    facts: dict[str, Any] = {
        "credit_limit": money_text(limit, currency),
        "exposure": money_text(exposure.total, currency),
        "order_amount": money_text(amount, currency),
        "exceeded_by": money_text(exposure.total + amount - limit, currency),
    }
    if override is not None:
        return {"credit_override": {"reason": override, **facts}}
    raise CreditLimitExceeded(
        f"{party.code} may owe {facts['credit_limit']} {currency}: {facts['exposure']} are owed or ordered already,"
        f" this order adds {facts['order_amount']}.",
        hint="Wait for a payment, cancel other orders, raise the party's `credit_limit`, or confirm with"
        f" `credit_override` and a reason (needs `{OVERRIDE}`).",
        party_id=str(party.id), currency=currency,
        open_receivables=money_text(exposure.receivables, currency),
        advances=money_text(exposure.advances, currency),
        uninvoiced_orders=money_text(exposure.uninvoiced, currency), **facts,
    )  # fmt: skip


def note_override(work: UnitOfWork, order_id: UUID, told: dict[str, Any]) -> None:
    """An audit entry of its own for a limit that was overridden."""
    if told:
        work.audit("sales_order.credit_override", "sales_order", order_id, after=told["credit_override"])


def credit_view(party: PartyFacts, row: ExposureRow, currency: str) -> CreditView:
    exposure, limit = exposure_of(row, currency), party.credit_limit
    return CreditView(
        party_id=party.id, currency=currency,
        credit_limit=None if limit is None else money_text(limit, currency),
        open_receivables=money_text(exposure.receivables, currency), advances=money_text(exposure.advances, currency),
        uninvoiced_orders=money_text(exposure.uninvoiced, currency), exposure=money_text(exposure.total, currency),
        available=None if limit is None else money_text(limit - exposure.total, currency),
    )  # fmt: skip
