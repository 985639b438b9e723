"""What a line needs to know of its product on a day, and the tenant's habits with tax.

Selling and buying read the same facts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, Date, Uuid, and_, bindparam, cast, literal, or_, select

from db.statement import TENANT, Bound, Statement, any_of
from erp.catalog.models import product_units, products, units
from erp.pricing.errors import NoTaxRate
from erp.pricing.models import tax_rates
from erp.pricing.tax import Rounding

__all__ = [
    "Conversion",
    "GroupRate",
    "SellingFacts",
    "TaxDefaults",
    "conversions",
    "group_rates",
    "selling_facts",
    "tax_defaults",
]


@dataclass(frozen=True, slots=True)
class SellingFacts:
    """A product on the day asked for. `unit_code`: its own unit; `sale_price` None: no price is kept."""

    product_id: UUID
    code: str
    name: str
    kind: Literal["stocked", "service"]
    unit_code: str
    unit_decimals: int
    active: bool
    sale_price: Decimal | None
    tax_group_id: UUID | None
    rate: Decimal | None

    @property
    def tax_rate(self) -> Decimal:
        """Percent; 0 for a product without a tax group. Raises NoTaxRate when its group has none that day."""
        if self.rate is not None:
            return self.rate
        if self.tax_group_id is None:
            return Decimal(0)
        raise NoTaxRate(
            f"The tax group of product {self.code} has no rate for this date.", product_id=str(self.product_id),
            product=self.code, tax_group_id=str(self.tax_group_id),
        )  # fmt: skip


class Conversion(NamedTuple):
    """One `unit_code` is `numerator / denominator` of the product's own unit."""

    product_id: UUID
    unit_code: str
    numerator: int
    denominator: int


class GroupRate(NamedTuple):
    """A tax group's rate in percent on the day asked for."""

    tax_group_id: UUID
    rate: Decimal


_on = cast(bindparam("on"), Date)
_valid = and_(
    tax_rates.c.tenant_id == TENANT,
    tax_rates.c.valid_from <= _on,
    or_(tax_rates.c.valid_to.is_(None), tax_rates.c.valid_to >= _on),
)
_valid_rate = (
    select(tax_rates.c.rate)
    .where(_valid, tax_rates.c.tax_group_id == products.c.tax_group_id)
    .order_by(tax_rates.c.valid_from.desc())
    .limit(1)
    .correlate(products)
    .scalar_subquery()
)
_SELLING = Statement(
    select(
        products.c.id, products.c.code, products.c.name, products.c.kind, units.c.code.label("unit_code"),
        units.c.decimals, products.c.active, products.c.sale_price, products.c.tax_group_id, _valid_rate,
    )
    .select_from(
        products.join(units, (units.c.tenant_id == products.c.tenant_id) & (units.c.id == products.c.unit_id))
    )
    .where(products.c.tenant_id == TENANT, products.c.id == any_of("product_ids", Uuid)),
    SellingFacts,
)  # fmt: skip

_GROUP_RATES = Statement(select(tax_rates.c.tax_group_id, tax_rates.c.rate).where(_valid), GroupRate)

_one = literal(1, BigInteger)
_CONVERSIONS = Statement(
    select(product_units.c.product_id, units.c.code, product_units.c.numerator, product_units.c.denominator)
    .select_from(
        product_units.join(
            units, (units.c.tenant_id == product_units.c.tenant_id) & (units.c.id == product_units.c.unit_id)
        )
    )
    .where(product_units.c.tenant_id == TENANT, product_units.c.product_id == any_of("product_ids", Uuid))
    .union_all(
        select(products.c.id, units.c.code, _one, _one)
        .select_from(
            products.join(units, (units.c.tenant_id == products.c.tenant_id) & (units.c.id == products.c.unit_id))
        )
        .where(products.c.tenant_id == TENANT, products.c.id == any_of("product_ids", Uuid))
    ),
    Conversion,
)


def selling_facts(product_ids: list[UUID], on: date) -> Bound[SellingFacts]:
    """The products there are, with the tax rate valid on `on`; in no order, each once."""
    return _SELLING(product_ids=product_ids, on=on)


def conversions(product_ids: list[UUID]) -> Bound[Conversion]:
    """Every unit the products come in, their own (1/1) among them; in no order."""
    return _CONVERSIONS(product_ids=product_ids)


def group_rates(on: date) -> Bound[GroupRate]:
    """The rate of every tax group that has one on `on` (a tenant has a handful); in no order."""
    return _GROUP_RATES(on=on)


@dataclass(frozen=True, slots=True)
class TaxDefaults:
    """How the tenant's sales documents treat tax unless they say otherwise."""

    prices_include_tax: bool
    rounding: Rounding


def tax_defaults(settings: Mapping[str, Any]) -> TaxDefaults:
    """From `work.tenant.settings`, whose keys are `sales.prices_include_tax` and `sales.tax_rounding`."""
    return TaxDefaults(
        prices_include_tax=bool(settings.get("sales.prices_include_tax", False)),
        rounding="document" if settings.get("sales.tax_rounding") == "document" else "line",
    )
