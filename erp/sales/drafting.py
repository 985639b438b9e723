"""From the lines a client sends to priced lines of an order. Pure: facts in, rows out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from db.errors import UnknownReference
from db.identifiers import new_id
from db.statement import Bound
from erp.catalog.errors import NotInThisUnit, ProductInactive
from erp.inventory.facts import check_decimals
from erp.kernel.quantity import NotRepresentable, Ratio, quantity_text, to_base
from erp.kernel.text import decimal
from erp.pricing.facts import Conversion, SellingFacts, TaxDefaults
from erp.pricing.listed import ListedPrice, by_product, listed_prices, price_from, price_in_unit
from erp.pricing.tax import PricedDocument, PricingLine, Rounding, price_document
from erp.sales.errors import PriceUnknown
from erp.sales.rows import LineRow
from erp.sales.schemas import OrderLineInput

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class TaxTerms:
    """How a document's prices and tax work, frozen on it."""

    included: bool
    rounding: Rounding


@dataclass(frozen=True, slots=True)
class Goods:
    """What is known of the products a document names; `listed` is what its party's price list says of them."""

    products: dict[UUID, SellingFacts]
    ratios: dict[tuple[UUID, str], Ratio]
    listed: dict[UUID, list[ListedPrice]]


def price_loads(lines: Sequence[OrderLineInput], party_id: UUID, on: date) -> list[Bound[ListedPrice]]:
    """What else a document loads for its prices: nothing when every line has its own."""
    unpriced = sorted({line.product_id for line in lines if line.unit_price is None})
    return [listed_prices(party_id, unpriced, on)] if unpriced else []


def goods_of(
    facts: Sequence[SellingFacts], conversions: Sequence[Conversion], listed: Sequence[ListedPrice] = ()
) -> Goods:
    """`listed`: what `price_loads` found."""
    return Goods(
        {row.product_id: row for row in facts},
        {(row.product_id, row.unit_code): Ratio(row.numerator, row.denominator) for row in conversions},
        by_product(listed),
    )


def tax_terms(defaults: TaxDefaults, included: bool | None, rounding: Rounding | None) -> TaxTerms:
    """What the client asks for, else the tenant's habit."""
    return TaxTerms(defaults.prices_include_tax if included is None else included, rounding or defaults.rounding)


def new_lines(
    lines: Sequence[OrderLineInput], goods: Goods, terms: TaxTerms, currency: str
) -> tuple[list[LineRow], PricedDocument]:
    """The lines and their totals.

    Raises UnknownReference, ProductInactive, NoTaxRate, NotInThisUnit, NotRepresentable, PriceUnknown, each with a
    pointer to its line.
    """
    drafts = [_line(index, line, goods) for index, line in enumerate(lines)]
    priced = price_document(
        [PricingLine(line.quantity, line.unit_price, line.tax_rate, line.discount_percent) for line in drafts],
        included=terms.included, rounding=terms.rounding, currency=currency,
    )  # fmt: skip
    rows = [
        draft._replace(net=amounts.net, tax=amounts.tax, gross=amounts.gross)
        for draft, amounts in zip(drafts, priced.lines, strict=True)
    ]
    return rows, priced


def _line(index: int, line: OrderLineInput, goods: Goods) -> LineRow:
    priced = price_line(line, goods, f"/lines/{index}")
    product = priced.product
    return LineRow(
        new_id(), index + 1, product.product_id, product.kind, line.description or product.name, priced.quantity,
        priced.unit_code, priced.base, product.unit_decimals, priced.unit_price, decimal(line.discount_percent),
        product.tax_group_id, product.tax_rate, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO,
    )  # fmt: skip


class PricedQuantity(NamedTuple):
    """`base` is `quantity` in the product's own unit; `listed`: the price of the party's list it is priced by."""

    product: SellingFacts
    quantity: Decimal
    unit_code: str
    base: Decimal
    unit_price: Decimal
    listed: ListedPrice | None


def price_line(line: OrderLineInput, goods: Goods, at: str) -> PricedQuantity:
    """How much of what at which price.

    Raises UnknownReference, ProductInactive, NotInThisUnit, NotRepresentable, PriceUnknown; pointers below `at`.
    """
    product = goods.products.get(line.product_id)
    if product is None:
        raise UnknownReference(
            "There is no product with this id.", pointer=f"{at}/product_id", product_id=str(line.product_id)
        )
    if not product.active:
        raise ProductInactive(
            f"Product {product.code} is inactive.", pointer=f"{at}/product_id", product=product.code
        )
    unit_code = line.unit_code or product.unit_code
    ratio = _ratio(goods, product, unit_code, at)
    quantity = decimal(line.quantity)
    base = _base(quantity, ratio, product, at)
    if line.unit_price is not None:
        return PricedQuantity(product, quantity, unit_code, base, decimal(line.unit_price), None)
    listed = price_from(goods.listed.get(product.product_id, ()), base)
    price = product.sale_price if listed is None else listed.unit_price
    if price is None:
        raise PriceUnknown(f"{product.code} has no sale price.", pointer=f"{at}/unit_price", product=product.code)
    return PricedQuantity(product, quantity, unit_code, base, price_in_unit(price, ratio), listed)


def _ratio(goods: Goods, product: SellingFacts, unit_code: str, at: str) -> Ratio:
    ratio = goods.ratios.get((product.product_id, unit_code))
    if ratio is None:
        known = sorted(code for product_id, code in goods.ratios if product_id == product.product_id)
        raise NotInThisUnit(
            f"{product.code} does not come in {unit_code}.",
            pointer=f"{at}/unit_code", product=product.code, known=known,
        )  # fmt: skip
    return ratio


def _base(quantity: Decimal, ratio: Ratio, product: SellingFacts, at: str) -> Decimal:
    if ratio.numerator == ratio.denominator:
        base = quantity
    else:
        try:
            base = to_base(quantity, ratio)
        except NotRepresentable as error:
            raise NotRepresentable(
                f"{quantity_text(quantity)} cannot be expressed in {product.unit_code} of {product.code}.",
                pointer=f"{at}/quantity", **error.facts,
            ) from None  # fmt: skip
    check_decimals(base, product, pointer=f"{at}/quantity")
    return base
