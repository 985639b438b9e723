"""Three months of a real wholesaler's trading, to the penny. The data lies beside the checkout, not in it.

Truth files computed without any ERP code say what every document, month, country and customer comes to.
"""

import csv
import gzip
import io
import json
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from erp.exchange.api import Api
from erp.exchange.online_retail.documents import Kind, gather
from erp.exchange.online_retail.plan import country_code
from erp.exchange.online_retail.rows import read_lines
from erp.exchange.online_retail.upload import Upload
from tests.api.whole.conftest import Tenant

DATA = Path(__file__).parents[3] / "shared" / "data" / "online-retail"
FILE = DATA / "online-retail.developer.csv.gz"

pytestmark = [
    pytest.mark.truth,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not FILE.exists(), reason=f"the real data is not beside this checkout: {FILE}"),
]


def truth(name: str) -> list[dict[str, str]]:
    with gzip.open(DATA / name) as stream:
        return list(csv.DictReader(io.TextIOWrapper(stream, encoding="utf-8")))


async def test_the_books_equal_the_truth_to_the_penny(newcomer: Any) -> None:
    tenant: Tenant = await newcomer(first_fiscal_year=2009, chart="uk-small")
    documents, rejected = gather(read_lines(FILE))
    api = Api(tenant.client)
    outcome = await Upload(api, streams=2, progress=lambda stage, done, total: None).run(documents, "truth")
    assert outcome.booked == Counter(
        {Kind.SALE: 3745, Kind.CREDIT: 805, Kind.WRITE_OFF: 214, Kind.FOUND: 128, Kind.GIVEN: 1}
    )
    # One of the 130 unpriced positive documents is carriage: no goods, no price, nothing to book.
    assert [one.reason for one in outcome.rejected + rejected] == ["nothing to book: no price and no goods"]
    assert outcome.documents + 1 == 4894

    parties = {party["id"]: party async for party in api.every("/v1/parties")}
    booked: dict[str, Decimal] = {}
    months: dict[str, Decimal] = defaultdict(Decimal)
    countries: dict[str, Decimal] = defaultdict(Decimal)
    customers: dict[str, Decimal] = defaultdict(Decimal)
    async for invoice in api.every("/v1/invoices"):
        net = Decimal(invoice["net"]) * (1 if invoice["kind"] == "invoice" else -1)
        party = parties[invoice["party_id"]]
        booked[invoice["external_id"].removeprefix("document:")] = net
        months[invoice["date"][:7]] += net
        countries[party["country"]] += net
        customers[party["external_id"].split(":")[1]] += net

    priced = {row["InvoiceNo"]: Decimal(row["net_amount_exact"]) for row in truth("truth-documents.developer.csv.gz")}
    assert {number: net for number, net in priced.items() if number in booked} == booked
    assert all(net == 0 for number, net in priced.items() if number not in booked)
    assert sum(booked.values()) == Decimal("1807019.93")

    stats = json.loads((DATA / "stats.developer.json").read_text())
    assert months == {month: Decimal(one["net_revenue"]) for month, one in stats["per_month"].items()}
    expected: dict[str, Decimal] = defaultdict(Decimal)
    for country, one in stats["per_country"].items():
        expected[country_code(country)] += Decimal(one["net_revenue"])
    assert countries == expected
    for row in truth("truth-customers.developer.csv.gz"):
        customer = row["CustomerID"].removesuffix(".0") or "cash"
        assert customers[customer] == Decimal(row["net_amount_exact"]), customer

    report = await tenant.get("/v1/proof")
    assert report["holds"], [check for check in report["checks"] if not check["holds"]]
    balance = await tenant.get("/v1/trial-balance")
    revenue = next(one for one in balance["accounts"] if one["type"] == "income")
    assert revenue["balance"] == "-1807019.93"
