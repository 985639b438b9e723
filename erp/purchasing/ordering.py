"""From the lines a client sends to priced lines of an order. Pure: facts in, rows out."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from uuid import UUID

from db.identifiers import new_id
from erp.catalog.errors import NotInThisUnit, ProductInactive
from erp.inventory.facts import check_decimals
from erp.kernel.errors import UnknownReference
from erp.kernel.quantity import Ratio, to_base
from erp.kernel.text import decimal
from erp.pricing.facts import Conversion, SellingFacts
from erp.pricing.tax import PricedDocument, PricingLine, Rounding, price_document
from erp.purchasing.rows import LineRow
from erp.purchasing.schemas import PurchaseLineInput

_ZERO = Decimal(0)
Ratios = Mapping[tuple[UUID, str], Ratio]


def ratios_of(conversions: Sequence[Conversion]) -> Ratios:
    return {(row.product_id, row.unit_code): Ratio(row.numerator, row.denominator) for row in conversions}


def new_lines(
    order_id: UUID,
    lines: Sequence[PurchaseLineInput],
    facts: Sequence[SellingFacts],
    ratios: Ratios,
    *,
    included: bool,
    rounding: Rounding,
    currency: str,
) -> tuple[list[LineRow], PricedDocument]:
    """The lines and their totals.

    Raises UnknownReference, ProductInactive, NotInThisUnit, NotRepresentable and NoTaxRate with a pointer to the
    line.
    """
    products = {row.product_id: row for row in facts}
    drafts = [_line(order_id, index, line, products, ratios) for index, line in enumerate(lines)]
    priced = price_document(
        [PricingLine(line.quantity, line.unit_price, line.tax_rate, line.discount_percent) for line in drafts],
        included=included, rounding=rounding, currency=currency,
    )  # fmt: skip
    rows = [
        draft._replace(net=amounts.net, tax=amounts.tax, gross=amounts.gross)
        for draft, amounts in zip(drafts, priced.lines, strict=True)
    ]
    return rows, priced


def _line(
    order_id: UUID, index: int, line: PurchaseLineInput, products: Mapping[UUID, SellingFacts], ratios: Ratios
) -> LineRow:
    at = f"/lines/{index}"
    product = products.get(line.product_id)
    if product is None:
        raise UnknownReference(
            "There is no product with this id.", pointer=f"{at}/product_id", product_id=str(line.product_id)
        )
    if not product.active:
        raise ProductInactive(
            f"Product {product.code} is inactive.", pointer=f"{at}/product_id", product=product.code
        )
    unit_code, quantity = line.unit_code or product.unit_code, decimal(line.quantity)
    return LineRow(
        id=new_id(), order_id=order_id, line_no=index + 1, product_id=product.product_id, kind=product.kind,
        description=line.description or product.name, quantity=quantity, unit_code=unit_code,
        base_quantity=_base(quantity, unit_code, product, ratios, at), unit_price=decimal(line.unit_price),
        discount_percent=decimal(line.discount_percent), tax_group_id=product.tax_group_id,
        tax_rate=product.tax_rate, net=_ZERO, tax=_ZERO, gross=_ZERO, cancelled=_ZERO, received=_ZERO,
        received_value=_ZERO, billed=_ZERO, billed_value=_ZERO,
    )  # fmt: skip


def _base(quantity: Decimal, unit_code: str, product: SellingFacts, ratios: Ratios, at: str) -> Decimal:
    ratio = ratios.get((product.product_id, unit_code))
    if ratio is None:
        known = sorted(code for product_id, code in ratios if product_id == product.product_id)
        raise NotInThisUnit(
            f"{product.code} does not come in {unit_code}.", pointer=f"{at}/unit_code", product=product.code,
            known=known,
        )  # fmt: skip
    pointer = f"{at}/quantity"
    base = quantity if ratio.numerator == ratio.denominator else to_base(quantity, ratio, pointer=pointer)
    check_decimals(base, product, pointer=pointer)
    return base
