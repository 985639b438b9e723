"""What commands on payments lock, for those who run several in one transaction."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from erp.accounting.claims import days_of, item_claims, ledger_claims
from erp.accounting.open_items import allocations_by
from erp.payments.repository import LOCK_PAYMENT
from erp.payments.schemas import AllocatePaymentInput, AllocationInput, CreatePaymentInput
from tenancy.concurrency import Asked, Claim, LockRank, inputs, locked_by, targets
from tenancy.locks import account_name
from tenancy.work import UnitOfWork

locked_by("payments", lambda keys: [LOCK_PAYMENT(payment_id=payment) for (payment,) in keys])


async def claims_of_new_payments(work: UnitOfWork, asked: list[Asked[CreatePaymentInput]]) -> list[Claim]:
    """What they settle."""
    named = _named(line for data in inputs(asked) for line in data.allocations)
    return [*item_claims(named), *ledger_claims(days_of(work, asked), "payment")]


async def claims_of_allocating(work: UnitOfWork, asked: list[Asked[AllocatePaymentInput]]) -> list[Claim]:
    """The payments and what more they settle."""
    named = _named(line for data in inputs(asked) for line in data.allocations)
    return [*_payments(work, asked), *item_claims(named)]


async def claims_of_taking_back(work: UnitOfWork, asked: list[Asked[Any]]) -> list[Claim]:
    """The payments and what they have settled: for taking that back, or the payments themselves."""
    found = await work.peek(*(allocations_by(payment) for payment in targets(asked)))
    return [*_payments(work, asked), *item_claims(row.open_item_id for rows in found for row in rows)]


def _payments(work: UnitOfWork, asked: list[Asked[Any]]) -> list[Claim]:
    return [
        *(Claim(LockRank.DOCUMENT, "payments", (payment,), account_name(payment)) for payment in targets(asked)),
        *ledger_claims(days_of(work, asked), "journal"),
    ]


def _named(lines: Iterable[AllocationInput]) -> list[UUID]:
    return [
        target
        for line in lines
        for target in (line.open_item_id, line.invoice_id, line.bill_id)
        if target is not None
    ]
