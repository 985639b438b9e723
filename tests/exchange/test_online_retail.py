"""The importer on a small file with every trap of the format, against the whole application."""

import asyncio
import gzip
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from erp.cli import app
from erp.exchange.api import Api
from erp.exchange.online_retail.documents import Kind, gather
from erp.exchange.online_retail.rows import COLUMNS, WrongFormat, read_lines
from erp.exchange.online_retail.upload import Outcome, Upload
from tests.api.whole.conftest import Tenant

HEADER = ",".join(COLUMNS)
LINES = [
    "536365,85123A,WHITE HEART,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom",
    "536365,85123A,WHITE HEART,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom",  # a real repeated line
    "536365,POST,POSTAGE,1,2010-12-01 08:26:00,18.0,17850.0,United Kingdom",
    "536366,85123a,WHITE HEART IN LOWER CASE,3,2010-12-01 08:28:00,2.95,,United Kingdom",
    "536367,71053,,2,2010-12-01 08:34:00,0.001,12583.0,France",  # three decimals, no description
    "536367,71053,LANTERN,4,2010-12-01 08:35:00,3.39,12583.0,France",  # a second timestamp
    "536368,71053,LANTERN,1,2010-12-02 09:00:00,0.0,12583.0,France",  # unpriced line beside a priced one
    "536368,71053,LANTERN,1,2010-12-02 09:00:00,3.39,12583.0,France",
    "C536379,85123A,WHITE HEART,-2,2010-12-03 09:41:00,2.55,17850.0,United Kingdom",
    "C536380,D,Discount,-1,2010-12-03 09:49:00,27.50,17850.0,United Kingdom",
    "536414,22139,,56,2010-12-04 11:52:00,0.0,,United Kingdom",  # found
    "536589,21777,,-10,2010-12-04 16:50:00,0.0,,United Kingdom",  # written off
    "543599,84535B,NOTEBOOK,16,2011-02-10 13:08:00,0.0,17560.0,United Kingdom",  # given away
    "A563186,B,Adjust bad debt,1,2011-08-12 14:51:00,-11062.06,,United Kingdom",
    "536370,22728,CLOCK,24,2010-12-01 08:45:00,3.75,12583.0,Spain",  # a customer in a second country
    "543258,DOT,,3,2011-02-04 16:06:00,0.0,,United Kingdom",  # nothing to book
    "536371,broken,LINE,many,2010-12-01 09:00:00,2.55,13748.0,United Kingdom",
]
BOOKED = {Kind.SALE: 5, Kind.CREDIT: 2, Kind.FOUND: 1, Kind.WRITE_OFF: 1, Kind.GIVEN: 1, Kind.ADJUSTMENT: 1}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "retail.csv.gz"
    with gzip.open(path, "wt", encoding="utf-8") as stream:
        stream.write("\n".join([HEADER, *LINES]) + "\n")
    return path


async def load(tenant: Tenant, file: Path, progress: Any = lambda stage, done, total: None) -> Outcome:
    documents, unreadable = gather(read_lines(file))
    outcome = await Upload(Api(tenant.client), streams=3, progress=progress).run(documents, "test-source")
    outcome.rejected += unreadable
    return outcome


def test_where_rejects_cannot_be_written_is_said_before_anything_is_loaded(file: Path, tmp_path: Path) -> None:
    words = ["import", "online-retail", str(file), "--tenant", "nobody", "--key", "none"]
    nowhere = ["--url", "http://127.0.0.1:1", "--rejects", str(tmp_path / "no" / "rejects.txt")]
    result = CliRunner().invoke(app, [*words, *nowhere])
    assert (result.exit_code, "cannot be written" in result.output) == (2, True), result.output


@pytest.fixture
async def trader(newcomer: Any) -> Tenant:
    found: Tenant = await newcomer(first_fiscal_year=2009, chart="uk-small")
    return found


async def figures(tenant: Tenant) -> tuple[Decimal, int]:
    """Net of all invoices less credit notes, and how many documents there are."""
    net, documents = Decimal(0), 0
    async for invoice in Api(tenant.client).every("/v1/invoices"):
        net += Decimal(invoice["net"]) * (1 if invoice["kind"] == "invoice" else -1)
        documents += 1
    return net, documents


async def test_every_kind_of_document_is_booked_and_the_books_hold(trader: Tenant, file: Path) -> None:
    outcome = await load(trader, file)
    assert outcome.booked == Counter(BOOKED)
    assert [(one.number, one.reason.split(":")[0]) for one in sorted(outcome.rejected)] == [
        (17, "nothing to book"), (18, "holds no usable quantity, date or price"),
    ]  # fmt: skip
    # 30.60 + 18.00 + 8.85 + 13.56 (0.002 rounds away) + 3.39 + 90.00 - 5.10 - 27.50
    assert await figures(trader) == (Decimal("131.80"), 7)
    assert (await trader.get("/v1/proof"))["holds"]


async def test_a_second_run_books_nothing_again(trader: Tenant, file: Path) -> None:
    await load(trader, file)
    before = await figures(trader)
    again = await load(trader, file)
    assert (sum(again.booked.values()), sum(again.already_there.values())) == (0, sum(BOOKED.values()))
    assert await figures(trader) == before
    assert (await trader.get("/v1/proof"))["holds"]


@pytest.mark.parametrize("stage", ["parties", "products", "opening stock", "lines"])
async def test_a_run_cut_off_anywhere_is_continued(trader: Tenant, file: Path, stage: str) -> None:
    reached = asyncio.Event()

    def progress(at: str, done: int, total: int) -> None:
        if at == stage and done:
            reached.set()

    cut_off = asyncio.create_task(load(trader, file, progress))
    await asyncio.wait({cut_off, asyncio.create_task(reached.wait())}, return_when=asyncio.FIRST_COMPLETED)
    cut_off.cancel()
    await asyncio.gather(cut_off, return_exceptions=True)
    await load(trader, file)
    assert await figures(trader) == (Decimal("131.80"), 7)
    assert (await trader.get("/v1/proof"))["holds"]


async def test_countries_and_customers_stay_apart(trader: Tenant, file: Path) -> None:
    await load(trader, file)
    parties = {party["id"]: party async for party in Api(trader.client).every("/v1/parties")}
    countries: Counter[str] = Counter()
    async for invoice in Api(trader.client).every("/v1/invoices", kind="invoice"):
        countries[parties[invoice["party_id"]]["country"]] += 1
    assert countries == {"GB": 2, "FR": 2, "ES": 1}
    assert {p["code"] for p in parties.values()} >= {"17850-GB", "12583-FR", "12583-ES", "CASH-GB"}


def test_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(WrongFormat):
        list(read_lines(path))
