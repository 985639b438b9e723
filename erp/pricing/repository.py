"""Write-side statements of tax groups."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Date, Numeric, Text, Uuid, bindparam, cast, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import aggregate_order_by, array

from db.statement import TENANT, Statement, rows_of
from erp.pricing.models import tax_groups, tax_rates


class TaxGroupRow(NamedTuple):
    """`rates`: (rate, valid_from, valid_to) as texts, the earliest first; None for a group without any."""

    id: UUID
    version: int
    code: str
    name: str
    rates: list[list[str | None]] | None
    active: bool
    external_id: str | None
    created_at: datetime


#: What a client may change in the group itself.
CHANGING = ("code", "name", "active", "external_id")

_rates = (
    select(
        func.array_agg(
            aggregate_order_by(
                array(
                    [
                        cast(tax_rates.c.rate, Text),
                        cast(tax_rates.c.valid_from, Text),
                        cast(tax_rates.c.valid_to, Text),
                    ]
                ),
                tax_rates.c.valid_from,
            )
        )
    )
    .where(tax_rates.c.tenant_id == TENANT, tax_rates.c.tax_group_id == tax_groups.c.id)
    .correlate(tax_groups)
    .scalar_subquery()
)
TAX_GROUP_SELECT = select(
    tax_groups.c.id, tax_groups.c.version, tax_groups.c.code, tax_groups.c.name, _rates.label("rates"),
    tax_groups.c.active, tax_groups.c.external_id, tax_groups.c.created_at,
).where(tax_groups.c.tenant_id == TENANT)  # fmt: skip

LOCK_TAX_GROUP: Statement[TaxGroupRow] = Statement(
    TAX_GROUP_SELECT.where(tax_groups.c.id == bindparam("tax_group_id")).with_for_update(
        key_share=True, of=tax_groups
    ),
    TaxGroupRow,
)
ADD_TAX_GROUP: Statement[tuple[()]] = Statement(
    insert(tax_groups).values(
        tenant_id=TENANT, id=bindparam("id"), created_at=bindparam("created_at"),
        **{name: bindparam(name) for name in CHANGING},
    )
)  # fmt: skip
SET_TAX_GROUP: Statement[tuple[()]] = Statement(
    update(tax_groups)
    .where(tax_groups.c.tenant_id == TENANT, tax_groups.c.id == bindparam("tax_group_id"))
    .values(version=tax_groups.c.version + 1, **{name: bindparam(name) for name in CHANGING})
)
_rate = rows_of(rates=Numeric, starts=Date, ends=Date)
ADD_TAX_RATES: Statement[tuple[()]] = Statement(
    insert(tax_rates).from_select(
        ["tenant_id", "tax_group_id", "rate", "valid_from", "valid_to"],
        select(
            cast(TENANT, Uuid), cast(bindparam("tax_group_id"), Uuid), _rate.c.rates, _rate.c.starts, _rate.c.ends
        ),
    )
)
DROP_TAX_RATES: Statement[tuple[()]] = Statement(
    delete(tax_rates).where(tax_rates.c.tenant_id == TENANT, tax_rates.c.tax_group_id == bindparam("tax_group_id"))
)
