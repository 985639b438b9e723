"""From the lines of a request to the lines of an invoice: products fill in what was left out. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from uuid import UUID

from db.statement import Bound
from erp.invoicing.new import NewInvoiceLine
from erp.invoicing.schemas import InvoiceLineInput
from erp.kernel.errors import Invalid, UnknownReference
from erp.kernel.text import decimal
from erp.parties.errors import NotACustomer, PartyInactive
from erp.parties.facts import PartyFacts
from erp.pricing.facts import SellingFacts
from erp.pricing.listed import ListedPrice, by_product, listed_prices, price_from


def customer(parties: Sequence[PartyFacts], party_id: UUID) -> PartyFacts:
    """Raises UnknownReference, PartyInactive, NotACustomer."""
    if not parties:
        raise UnknownReference("There is no such party.", pointer="/party_id", party_id=str(party_id))
    [party] = parties
    if not party.active:
        raise PartyInactive(f"Party {party.code} is inactive.", pointer="/party_id", party_id=str(party_id))
    if not party.is_customer:
        raise NotACustomer(f"Party {party.code} is not a customer.", pointer="/party_id", party_id=str(party_id))
    return party


def product_ids(lines: Sequence[InvoiceLineInput]) -> list[UUID]:
    return sorted({line.product_id for line in lines if line.product_id is not None})


def account_names(lines: Sequence[InvoiceLineInput]) -> list[tuple[str, str]]:
    """(account as named, JSON pointer)."""
    return [(line.account, f"/lines/{index}/account") for index, line in enumerate(lines)]


def price_loads(lines: Sequence[InvoiceLineInput], party_id: UUID, on: date) -> list[Bound[ListedPrice]]:
    """What else a document loads for its prices: nothing when every line has its own."""
    unpriced = product_ids([line for line in lines if line.unit_price is None])
    return [listed_prices(party_id, unpriced, on)] if unpriced else []


def new_lines(
    lines: Sequence[InvoiceLineInput], products: Sequence[SellingFacts], listed: Sequence[ListedPrice] = ()
) -> list[NewInvoiceLine]:
    """Raises UnknownReference, Invalid and NoTaxRate, with the line they are about. `listed`: by `price_loads`."""
    known, prices = {product.product_id: product for product in products}, by_product(listed)
    return [_new_line(line, known, prices, f"/lines/{index}") for index, line in enumerate(lines)]


def _new_line(
    line: InvoiceLineInput, known: dict[UUID, SellingFacts], prices: Mapping[UUID, list[ListedPrice]], pointer: str
) -> NewInvoiceLine:
    product = None
    if line.product_id is not None and (product := known.get(line.product_id)) is None:
        raise UnknownReference("There is no such product.", pointer=f"{pointer}/product_id", id=str(line.product_id))
    quantity = decimal(line.quantity)
    return NewInvoiceLine(
        product_id=line.product_id,
        description=_given(line.description, product.name if product else None, f"{pointer}/description"),
        quantity=quantity,
        unit_price=_number(line.unit_price, _price(product, quantity, prices), f"{pointer}/unit_price"),
        tax_rate=_tax_rate(line, product, f"{pointer}/tax_rate"),
        discount_percent=decimal(line.discount_percent),
        tax_group_id=product.tax_group_id if product and line.tax_rate is None else None,
        unit_code=product.unit_code if product else "",
        account=line.account,
    )


def _price(
    product: SellingFacts | None, quantity: Decimal, prices: Mapping[UUID, list[ListedPrice]]
) -> Decimal | None:
    """Of the party's price list, else the product's own: a line is in the product's own unit."""
    if product is None:
        return None
    found = price_from(prices.get(product.product_id, ()), quantity)
    return product.sale_price if found is None else found.unit_price


def _tax_rate(line: InvoiceLineInput, product: SellingFacts | None, pointer: str) -> Decimal:
    if line.tax_rate is not None or product is None:
        return _number(line.tax_rate, None, pointer)
    return product.tax_rate


def _number(given: str | None, otherwise: Decimal | None, pointer: str) -> Decimal:
    if given is not None:
        return decimal(given)
    if otherwise is None:
        raise Invalid("The line has no product that says this, so it has to be given.", pointer=pointer)
    return otherwise


def _given(given: str | None, otherwise: str | None, pointer: str) -> str:
    if (text := given or otherwise) is None:
        raise Invalid("A line without a product needs a description.", pointer=pointer)
    return text
