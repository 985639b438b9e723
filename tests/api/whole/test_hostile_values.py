"""Values nobody means well with, on a route that moves money: refused with the right word, never a 5xx."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from erp.http.gate import Gate
from tests.api.whole.asking import send, told
from tests.api.whole.conftest import new_tenant
from tests.api.whole.trading import Trade, trade_in_everything


@pytest.fixture(scope="module")
async def shop(gate: Gate, operator: httpx.AsyncClient) -> AsyncIterator[Trade]:
    tenant = await new_tenant(gate, operator)
    async with tenant.client:
        yield await trade_in_everything(tenant)


async def pay(shop: Trade, **changes: Any) -> httpx.Response:
    body = {"direction": "in", "party_id": shop.ids["party_id"], "amount": "1.00", **changes}
    return await send(shop, "POST", "/v1/payments", body)


async def test_the_payment_of_these_tests_is_a_right_one(shop: Trade) -> None:
    assert (await pay(shop)).status_code == 201


@pytest.mark.parametrize(
    "amount",
    ["NaN", "Infinity", "-Infinity", "1e400", "1E+999999999", "-0", "0", "-1", "+1", "1_000", "１２", "1,00", "01",
     ".5", "5.", " 1", "1 ", "", "9" * 40, "1.001", "0x10", "1e2", "٣"],
)  # fmt: skip
async def test_money_is_a_plain_decimal(shop: Trade, amount: str) -> None:
    assert told(await pay(shop, amount=amount)) == (422, "invalid-amount", "/amount")


@pytest.mark.parametrize("amount", [1, 1.5, 0, -1, 1e300, 99999999999999.99])
async def test_money_is_no_number(shop: Trade, amount: float) -> None:
    assert told(await pay(shop, amount=amount)) == (422, "amount-must-be-string", "/amount")


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b'{"direction":"in","amount":"1.00","amount":"9.00"}', 400, "duplicate-key"),
        (b'{"direction":"in","amount":"1.00","\\u0061mount":"9.00"}', 400, "duplicate-key"),
        (b"{" + b'"a":' * 33, 400, "invalid-json"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 400, "json-too-deep"),
        (b"[" * 100_000 + b"]" * 100_000, 400, "json-too-deep"),
        (b"{" + b",".join(b'"k%d":1' % n for n in range(1_000_000)) + b"}", 413, "payload-too-large"),
        (b"{" + b",".join(b'"k%d":1' % n for n in range(80_000)) + b"}", 422, "unknown-field"),
        (b'{"direction":"\xff"}', 400, "invalid-json"),
        (b'{"direction":"\\ud800"}', 400, "invalid-json"),
        (b"\xef\xbb\xbf{}", 400, "invalid-json"),
        ('{"direction":"in"}'.encode("utf-16"), 400, "invalid-json"),
        (b'{"amount":NaN}', 400, "invalid-json"),
        (b'{"amount":1e400}', 422, "amount-must-be-string"),
        (b"", 400, "invalid-json"),
        (b"null", 400, "invalid-json"),
        (b"[]", 422, "invalid-value"),
        (b'"' + b"x" * 1024 * 1024 + b'"', 413, "payload-too-large"),
    ],
)  # fmt: skip
async def test_a_body_that_could_be_read_in_two_ways_is_read_in_none(
    shop: Trade, raw: bytes, status: int, code: str
) -> None:
    assert told(await send(shop, "POST", "/v1/payments", raw))[:2] == (status, code)


@pytest.mark.parametrize(
    "text", ["a\0b", "a\rb", "a\x1b[31m", "a\u202eb", "a\u200bb", "\x85", "e" + "\u0301" * 9, "\ufeff"]
)
async def test_texts_hold_nothing_invisible(shop: Trade, text: str) -> None:
    assert told(await pay(shop, reference=text)) == (422, "invalid-text", "/reference")
    assert told(await send(shop, "GET", f"/v1/parties?search={quote(text)}", b"")) == (422, "invalid-text", "search")


async def test_texts_that_look_the_same_are_the_same(shop: Trade) -> None:
    for name, status in (("Caf\u00e9", 201), ("Cafe\u0301", 409)):
        reply = await send(shop, "POST", "/v1/parties", {"code": name, "name": name, "is_customer": True})
        assert reply.status_code in (status, 422), reply.text  # a code may be ASCII alone
    made = await send(shop, "POST", "/v1/parties", {"code": "CAFE", "name": "Cafe\u0301", "is_customer": True})
    assert made.json()["name"] == "Caf\u00e9"


@pytest.mark.parametrize("number", ["1", 1.0, 1.5, True, None, 0, -1, 2**31, 2**63, 10**30])
async def test_a_whole_number_is_one(shop: Trade, number: Any) -> None:
    body = {"lines": [{"line_no": number, "quantity": "1"}]}
    reply = await send(shop, "POST", "/v1/sales-orders/{order_id}/deliveries", body)
    assert told(reply) == (422, "invalid-value", "/lines/0/line_no")


@pytest.mark.parametrize("quantity", ["0", "-1", "1.1234567", "NaN", "1e3", "9" * 30])
async def test_a_quantity_is_more_than_nothing(shop: Trade, quantity: str) -> None:
    line = {"product_id": shop.ids["product_id"], "quantity": quantity}
    reply = await send(shop, "POST", "/v1/sales-orders", {"party_id": shop.ids["party_id"], "lines": [line]})
    assert told(reply) == (422, "invalid-amount", "/lines/0/quantity")


@pytest.mark.parametrize(
    "day", ["0000-01-01", "10000-01-01", "2026-02-30", "2026-1-1", "01.02.2026", "2026-05-01T00:00:00Z", "", 20260501]
)
async def test_a_business_date_is_a_day_of_the_calendar(shop: Trade, day: Any) -> None:
    assert told(await pay(shop, date=day)) == (422, "invalid-value", "/date")


@pytest.mark.parametrize(
    "moment", ["2099-01-01", "2099-01-01T00:00:00", "10000-01-01T00:00:00Z", "2099-02-30T00:00:00Z", 1]
)
async def test_a_moment_has_a_zone(shop: Trade, moment: Any) -> None:
    body = {"name": "N", "role": "sales", "expires_at": moment}
    assert told(await send(shop, "POST", "/v1/api-keys", body)) == (422, "invalid-value", "/expires_at")


async def test_a_closed_period_takes_no_posting(shop: Trade) -> None:
    periods = (await shop.tenant.get("/v1/periods", limit="200"))["data"]
    first = min(periods, key=lambda one: str(one["start_date"]))
    await shop.tenant.post(f"/v1/periods/{first['id']}/close", {"reason": "year end", "state": "closed"})
    reply = await pay(shop, date=first["start_date"], strict_date=True)
    assert told(reply)[:2] == (409, "period-closed")
    before = await pay(shop, date="1990-01-01", strict_date=True)
    assert told(before)[0] in (409, 422)
