"""Write-side statements of payments."""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Numeric, Uuid, bindparam, insert, select, update

from db.statement import TENANT, Statement
from erp.kernel.text import Date
from erp.payments.models import payments


class PaymentRow(NamedTuple):
    id: UUID
    number: str
    direction: str
    side: str
    state: str
    party_id: UUID
    date: Date
    accounting_date: Date
    currency: str
    amount: Decimal
    unallocated: Decimal
    method: str
    account_code: str
    reference: str
    entry_id: UUID
    reversal_entry_id: UUID | None
    reversal_reason: str
    external_id: str | None
    version: int
    created_at: datetime


PAYMENT_COLUMNS = tuple(payments.c[name] for name in PaymentRow._fields)
_this_payment = (payments.c.tenant_id == TENANT, payments.c.id == bindparam("payment_id", type_=Uuid))

LOCK_PAYMENT: Statement[PaymentRow] = Statement(
    select(*PAYMENT_COLUMNS).where(*_this_payment).with_for_update(), PaymentRow
)

ADD_PAYMENT: Statement[tuple[()]] = Statement(
    insert(payments).values(tenant_id=TENANT, **{name: bindparam(name) for name in PaymentRow._fields})
)

SET_UNALLOCATED: Statement[tuple[()]] = Statement(
    update(payments)
    .where(*_this_payment)
    .values(unallocated=bindparam("left", type_=Numeric), version=payments.c.version + 1)
)

SET_REVERSED: Statement[tuple[()]] = Statement(
    update(payments)
    .where(*_this_payment)
    .values(
        state="reversed",
        unallocated=0,
        reversal_entry_id=bindparam("entry", type_=Uuid),
        reversal_reason=bindparam("reason"),
        version=payments.c.version + 1,
    )
)
