"""What other slices read of payments, as columns of their own queries."""

from typing import Any

from sqlalchemy import ColumnElement, Numeric, case, cast, func, literal_column, select

from db.statement import TENANT
from erp.payments.models import payments

__all__ = ["advances_of"]

_ZERO = cast(0, Numeric)


def advances_of(party_id: ColumnElement[Any]) -> ColumnElement[Any]:
    """What the customer has paid and no item has used yet, less what was paid back of it."""
    signed = case((payments.c.direction == "in", payments.c.unallocated), else_=-payments.c.unallocated)
    return (
        select(func.coalesce(func.sum(signed), _ZERO))
        .where(
            payments.c.tenant_id == TENANT,
            payments.c.party_id == party_id,
            # Written out, not a parameter: it is the condition of an index.
            literal_column("payments.unallocated > 0"),
            payments.c.state == "posted",
            payments.c.side == "receivable",
        )
        .scalar_subquery()
    )
