"""One rule for each kind of number, in every answer: amounts have the currency's decimals, all others only theirs."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.whole.conftest import Newcomer, Tenant
from tests.api.whole.document import document, filled
from tests.api.whole.trading import trade

#: Money: always the decimals of the currency.
AMOUNTS = {
    "advances", "allocated", "amount", "available", "balance", "booked", "cost", "credit", "credit_limit",
    "days_1_30", "days_31_60", "days_61_90", "days_over_90", "debit", "exposure", "gross", "inventory_account",
    "invoiced_amount", "net", "not_due", "open_amount", "open_receivables", "receipt_value", "received_value",
    "rounding", "tax", "total", "unallocated", "uninvoiced_orders", "unpaid_amount", "value", "variance", "base",
}  # fmt: skip
#: Prices and costs of one unit, quantities, percentages: no decimal more than they need.
PLAIN = {
    "backorder", "base_quantity", "billed", "cancelled", "delivered", "discount_percent", "incoming", "invoiced",
    "on_hand", "open", "open_quantity", "quantity", "rate", "received", "reorder_point", "reserved", "returned",
    "sale_price", "tax_rate", "unit_cost", "unit_price",
}  # fmt: skip
#: An amount for a customer, a quantity of a product.
BOTH = {"available"}
#: Digits that are no numbers.
NAMES = {"account", "code", "version", "product_code", "location_code", "supplier_number", "number"}
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_SHORTEST = re.compile(r"0|-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?")


def numbers(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """(member, text) of everything that is written like a number."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from numbers(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from numbers(inner, name)
    elif isinstance(value, str) and _NUMBER.fullmatch(value):
        yield name, value


def wrong(path: str, answer: Any, decimals: int) -> Iterator[str]:
    amount = re.compile(rf"-?(0|[1-9][0-9]*)\.[0-9]{{{decimals}}}" if decimals else r"0|-?[1-9][0-9]*")
    for name, text in numbers(answer):
        fits = {True: amount.fullmatch(text), False: _SHORTEST.fullmatch(text)}
        if name in BOTH:
            right = any(fits.values())
        elif name in AMOUNTS or name in PLAIN:
            right = bool(fits[name in AMOUNTS])
        else:
            right = name in NAMES
        if not right:
            yield f"{path}: {name} is {text}"


async def every_answer(tenant: Tenant, ids: dict[str, str]) -> Iterator[tuple[str, Any]]:
    api = await document(tenant.client)
    found = []
    for path, operations in api["paths"].items():
        if "get" not in operations or not path.startswith("/v1/") or path.startswith("/v1/tenants"):
            continue
        wanted = path + ("?as_of=2999-12-31" if path in ("/v1/stock-on-hand", "/v1/stock-valuation/total") else "")
        reply = await tenant.client.get(filled(wanted, ids, ids["order_id"]))
        if reply.is_success:
            found.append((path, reply.json()))
    return iter(found)


@pytest.mark.parametrize(("currency", "decimals"), [("GBP", 2), ("JPY", 0), ("KWD", 3)])
async def test_the_same_kind_of_number_is_written_by_the_same_rule(
    newcomer: Newcomer, currency: str, decimals: int
) -> None:
    tenant = await newcomer(base_currency=currency)
    traded = await trade(tenant)
    await tenant.make("products", code="ZEROS", name="Zeros", sale_price="45.100", reorder_point="3.0")
    await tenant.make("parties", code="ZEROS", name="Zeros", is_customer=True, credit_limit="500")
    spelled = {
        "product_id": traded.ids["product_id"], "quantity": "1.0", "unit_price": "7.10", "discount_percent": "2.50",
    }  # fmt: skip
    await tenant.make("sales-orders", party_id=traded.ids["party_id"], lines=[spelled])
    answers = list(await every_answer(tenant, traded.ids))
    assert len(answers) > 40
    seen = {name for _, answer in answers for name, _ in numbers(answer)}
    assert {"sale_price", "unit_price", "unit_cost", "quantity", "value", "gross", "net"} <= seen
    assert [each for path, answer in answers for each in wrong(path, answer, decimals)] == []


@pytest.mark.parametrize(
    "answer",
    [{"sale_price": "45.00"}, {"unit_price": "45.0"}, {"net": "45"}, {"quantity": "1.50"}, {"surprise": "1.5"}],
)
def test_another_spelling_would_be_found(answer: Any) -> None:
    assert list(wrong("/v1/x", answer, 2)) != []
