"""Stock at the end of a day, added up from its moves; of now from the rows that are kept up to date.

A move has the accounting date of its entry, so the worth of all stock on a day is the inventory account's balance
of that day.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Numeric, ScalarSelect, Select, and_, bindparam, cast, func, select, true
from sqlalchemy import Date as SqlDate

from db.statement import TENANT, Statement
from erp.accounting.models import account_roles, journal_lines
from erp.catalog.models import products
from erp.http.filters import Filter, Parameter, eq, in_
from erp.http.listing import Listing
from erp.inventory.models import product_costs, stock_moves
from erp.kernel.errors import Invalid
from erp.kernel.text import Date

_ZERO = cast(0, Numeric)
_as_of = cast(bindparam("as_of"), SqlDate)


class ValuationRow(NamedTuple):
    product_id: UUID
    product_code: str
    quantity: Decimal
    value: Decimal


class OnHandRow(NamedTuple):
    product_id: UUID
    product_code: str
    location_id: UUID
    on_hand: Decimal


class TotalRow(NamedTuple):
    products: int
    value: Decimal
    inventory_account: Decimal


def parse_day(text: str) -> Date:
    """Raises Invalid."""
    try:
        return msgspec.convert(text, Date)
    except msgspec.ValidationError:
        raise Invalid("`as_of` is a day, such as 2026-03-31.", pointer="as_of", source="query") from None


def _day_filter() -> Filter:
    """`?as_of=2026-03-31`: used inside the list's select, so it adds no condition of its own."""

    def build(name: str, column: ColumnElement[Any]) -> Sequence[Parameter]:
        return (Parameter(name, "as_of", true(), parse_day, Date, "The end of this day; now without it."),)

    return Filter(stock_moves.c.date, build)


def inventory_account_balance(*conditions: ColumnElement[bool]) -> ScalarSelect[Any]:
    """The balance of the account with the role @inventory over the journal lines that meet the conditions."""
    account = (
        select(account_roles.c.account_code)
        .where(account_roles.c.tenant_id == TENANT, account_roles.c.role == "inventory")
        .scalar_subquery()
    )
    return (
        select(func.coalesce(func.sum(journal_lines.c.base_amount), _ZERO))
        .where(journal_lines.c.tenant_id == TENANT, journal_lines.c.account_code == account, *conditions)
        .scalar_subquery()
    )


def _moved(*keys: ColumnElement[Any]) -> Select[Any]:
    """Quantity and value of all moves up to the day, by `keys`; what is gone is left out."""
    quantity, value = func.sum(stock_moves.c.quantity), func.sum(stock_moves.c.value)
    return (
        select(*keys, quantity.label("quantity"), value.label("value"))
        .where(stock_moves.c.tenant_id == TENANT, stock_moves.c.date <= _as_of)
        .group_by(*keys)
        .having((quantity != 0) | (value != 0))
    )


def _product(product_id: ColumnElement[Any]) -> ColumnElement[bool]:
    return and_(products.c.tenant_id == TENANT, products.c.id == product_id)


VALUATION_NOW: Listing[ValuationRow] = Listing(
    select=select(product_costs.c.product_id, products.c.code, product_costs.c.quantity, product_costs.c.value)
    .select_from(product_costs.join(products, _product(product_costs.c.product_id)))
    .where(product_costs.c.tenant_id == TENANT, product_costs.c.quantity > 0),
    row=ValuationRow,
    key=product_costs.c.product_id,
    sorts={"product_id": product_costs.c.product_id},
    default="product_id",
    filters={"product_id": in_(product_costs.c.product_id), "as_of": _day_filter()},
)

_then = _moved(stock_moves.c.product_id).subquery("then")
VALUATION_THEN: Listing[ValuationRow] = Listing(
    select=select(_then.c.product_id, products.c.code, _then.c.quantity, _then.c.value).select_from(
        _then.join(products, _product(_then.c.product_id))
    ),
    row=ValuationRow,
    key=_then.c.product_id,
    sorts={"product_id": _then.c.product_id},
    default="product_id",
    filters={"product_id": in_(_then.c.product_id), "as_of": _day_filter()},
)

_lay = _moved(stock_moves.c.product_id, stock_moves.c.location_id).subquery("lay")
ON_HAND_THEN: Listing[OnHandRow] = Listing(
    select=select(_lay.c.product_id, products.c.code, _lay.c.location_id, _lay.c.quantity)
    .select_from(_lay.join(products, _product(_lay.c.product_id)))
    .where(_lay.c.quantity != 0),
    row=OnHandRow,
    key=(_lay.c.product_id, _lay.c.location_id),
    sorts={"product_id": _lay.c.product_id},
    default="product_id",
    filters={
        "product_id": in_(_lay.c.product_id),
        "location_id": eq(_lay.c.location_id),
        "as_of": _day_filter(),
    },
)

TOTAL: Statement[TotalRow] = Statement(
    select(
        func.count(),
        func.coalesce(func.sum(_then.c.value), _ZERO),
        inventory_account_balance(journal_lines.c.date <= _as_of),
    ).select_from(_then),
    TotalRow,
)
