"""Reading payments, from a replica."""

from sqlalchemy import Uuid, bindparam, select

from db.statement import TENANT, Statement
from erp.http.filters import eq, in_, span
from erp.http.listing import Listing
from erp.payments.models import payments
from erp.payments.repository import PAYMENT_COLUMNS, PaymentRow

_payments = select(*PAYMENT_COLUMNS).where(payments.c.tenant_id == TENANT)
PAYMENT: Statement[PaymentRow] = Statement(
    _payments.where(payments.c.id == bindparam("payment_id", type_=Uuid)), PaymentRow
)
PAYMENTS: Listing[PaymentRow] = Listing(
    select=_payments,
    row=PaymentRow,
    key=payments.c.id,
    sorts={"created_at": payments.c.created_at, "date": payments.c.date, "number": payments.c.number},
    default="-created_at",
    filters={
        "direction": eq(payments.c.direction),
        "side": eq(payments.c.side),
        "state": in_(payments.c.state),
        "number": eq(payments.c.number),
        "party_id": in_(payments.c.party_id),
        "method": in_(payments.c.method),
        "date": (eq(payments.c.date), span(payments.c.date)),
        "created_at": span(payments.c.created_at),
        "external_id": eq(payments.c.external_id),
    },
)
