"""What a line of a document would cost, and why: the same loads and the same decision as when it is sold."""

from collections.abc import Sequence
from datetime import date
from hashlib import sha256
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Struct

from db.statement import Bound
from erp.kernel.quantity import quantity_text
from erp.kernel.text import Date
from erp.parties.facts import PartyFacts, customer_of, party_facts
from erp.pricing.facts import Conversion, SellingFacts, conversions, selling_facts
from erp.pricing.listed import ListedPrice, listed_prices
from erp.sales.drafting import goods_of, price_line
from erp.sales.schemas import OrderLineInput
from tenancy.cache.entries import Entry


class ListedPriceView(Struct, frozen=True, kw_only=True):
    """The price of the list that counts: from `min_quantity` on, for one of the product's own unit."""

    price_list_id: UUID
    code: str
    min_quantity: str
    unit_price: str
    valid_from: Date
    valid_to: Date | None


class PriceView(Struct, frozen=True, kw_only=True):
    """`unit_price` is for one of `unit_code`; `base_quantity` is the quantity in the product's own unit.

    `source`: the party's price list (`listed` says which of its prices), or the product's sale price.
    """

    party_id: UUID
    product_id: UUID
    date: Date
    quantity: str
    unit_code: str
    base_quantity: str
    currency: str
    unit_price: str
    source: Literal["price_list", "product"]
    listed: ListedPriceView | None


class PriceFacts(Struct, frozen=True):
    """All that prices of one product for one party on one day depend on, whatever the quantity."""

    parties: list[PartyFacts]
    products: list[SellingFacts]
    conversions: list[Conversion]
    listed: list[ListedPrice]


#: Releases that keep other facts do not read each other's.
_FORM: Final = sha256(msgspec.json.encode(msgspec.json.schema(PriceFacts))).hexdigest()[:8]


def price_entry(party_id: UUID, product_id: UUID, on: date) -> Entry:
    """Where the facts are cached. They end with a change of the party, of the product and of any price list: which
    one it is by, only the facts themselves know.
    """
    tags = (
        "party:all", f"party:{party_id.hex}", "product:all", f"product:{product_id.hex}", "price_list:all",
        "price_list:any",
    )  # fmt: skip
    return Entry("price", f"{_FORM}:{party_id.hex}:{product_id.hex}:{on.isoformat()}", tags)


def facts_loads(party_id: UUID, product_id: UUID, on: date) -> tuple[Bound[Any], ...]:
    """The statements whose rows are the fields of `PriceFacts`."""
    products = [product_id]
    return (
        party_facts(party_id), selling_facts(products, on), conversions(products),
        listed_prices(party_id, products, on),
    )  # fmt: skip


def facts_written(rows: Sequence[list[Any]]) -> bytes:
    return msgspec.json.encode(PriceFacts(*rows))


facts_read = msgspec.json.Decoder(PriceFacts).decode


def price_view(facts: PriceFacts, party_id: UUID, line: OrderLineInput, on: date, currency: str) -> PriceView:
    """Raises what the line would be refused with when it is sold. Pure."""
    customer_of(facts.parties, party_id)
    priced = price_line(line, goods_of(facts.products, facts.conversions, facts.listed), "")
    found = priced.listed
    return PriceView(
        party_id=party_id, product_id=line.product_id, date=on, quantity=quantity_text(priced.quantity),
        unit_code=priced.unit_code, base_quantity=quantity_text(priced.base), currency=currency,
        unit_price=quantity_text(priced.unit_price), source="product" if found is None else "price_list",
        listed=None if found is None else ListedPriceView(
            price_list_id=found.price_list_id, code=found.code, min_quantity=quantity_text(found.min_quantity),
            unit_price=quantity_text(found.unit_price), valid_from=found.valid_from, valid_to=found.valid_to,
        ),
    )  # fmt: skip
