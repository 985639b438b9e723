"""What the API refuses, asked in every run: nothing of it changes anything, whatever happened before."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import uuid4

from erp.exchange.demo.client import Answer, Client, Json, UnexpectedAnswer
from erp.exchange.demo.one_order import advance_payment
from erp.exchange.demo.shop import Shop, plain

_MUCH, _CENT = Decimal(1_000_000), Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Probe:
    """What was asked, and how it was answered."""

    asked: str
    answered: str


def probe(shop: Shop, stranger: Client, other: Shop) -> list[Probe]:
    """`other`: a second tenant; neither sees the other's records. Raises UnexpectedAnswer."""
    return [
        _foreign(shop, other),
        _foreign(other, shop),
        _keyless(stranger),
        _repeated(shop),
        _oversold(shop),
        _overallocated(shop),
        _closed(shop),
        _as_number(shop),
    ]


def _fresh_key() -> str:
    return f"demo:probe:{uuid4()}"


def _foreign(shop: Shop, other: Shop) -> Probe:
    """Another tenant's record is answered exactly like one that does not exist."""
    theirs = other.client.get("/v1/invoices", limit="1")["data"][0]
    answers = [shop.client.ask("GET", f"/v1/invoices/{one}") for one in (theirs["id"], str(uuid4()))]
    told = [{**answer.body, **dict.fromkeys(_VARYING)} for answer in answers]
    if [answer.status for answer in answers] != [404, 404] or told[0] != told[1]:
        raise UnexpectedAnswer(f"{answers[0]} A foreign record must look like a missing one: {answers[1]}")
    asked = f"{shop.company.slug} reads an invoice of {other.company.slug}"
    return Probe(asked, f"{_shown(answers[0])}, as if it did not exist")


#: What differs between two answers to the same question about different records.
_VARYING = ("instance", "correlation_id", "invoice_id")


def _keyless(stranger: Client) -> Probe:
    answer = stranger.ask("GET", "/v1/invoices")
    if answer.status != 401:
        raise UnexpectedAnswer(f"{answer} Without a key it should have been 401.")
    return Probe("read invoices without a key", _shown(answer))


def _repeated(shop: Shop) -> Probe:
    """The stored answer as long as it is kept (three days); after that the external id refuses a second booking."""
    answer = shop.client.ask("POST", "/v1/payments", advance_payment(shop), key=shop.key("one:advance"))
    if answer.replayed and answer.status == 201:
        return Probe("send the advance payment again", f"201, Idempotency-Replayed: true, {answer.body['number']}")
    if answer.code != "duplicate":
        raise UnexpectedAnswer(f"{answer} It was booked in the story, so it should not have been booked again.")
    return Probe("send the advance payment again", _shown(answer))


def _oversold(shop: Shop) -> Probe:
    item = shop.company.scene.item
    order = {"party_id": shop.customer(0), "lines": shop.lines([(item.code, _MUCH)]), "confirm": True}
    answer = shop.client.refused("/v1/sales-orders", order, "insufficient-stock", key=_fresh_key())
    return Probe(f"order {plain(_MUCH)} {item.name}", _shown(answer))


def _overallocated(shop: Shop) -> Probe:
    advance = shop.client.rows("/v1/payments", external_id="demo:advance")[0]
    settled = shop.client.get(f"/v1/payments/{advance['id']}")["allocations"][0]["document_id"]
    too_much = f"{Decimal(advance['unallocated']) + _CENT:.2f}"
    body: Json = {"allocations": [{"invoice_id": settled, "amount": too_much}]}
    path = f"/v1/payments/{advance['id']}/allocations"
    answer = shop.client.refused(path, body, "over-allocation", key=_fresh_key())
    return Probe(f"allocate one cent more of {advance['number']}", _shown(answer))


def _closed(shop: Shop) -> Probe:
    day = shop.calendar.old_day(15).isoformat()
    period = shop.client.get("/v1/periods", start_date=shop.calendar.old.isoformat())["data"][0]
    if period["state"] == "open":
        return Probe(f"post on {day}, strictly", "not asked: somebody reopened the period")
    lines = [{"account": "@expense", "debit": "1.00"}, {"account": "@bank", "credit": "1.00"}]
    entry = {"date": day, "lines": lines, "strict_date": True}
    answer = shop.client.refused("/v1/journal-entries", entry, "period-closed", key=_fresh_key())
    return Probe(f"post on {day}, strictly", _shown(answer))


def _as_number(shop: Shop) -> Probe:
    payment = {"direction": "in", "party_id": shop.customer(0), "amount": 19.99}
    answer = shop.client.refused("/v1/payments", payment, "amount-must-be-string", key=_fresh_key())
    return Probe('pay 19.99 instead of "19.99"', _shown(answer))


def _shown(answer: Answer) -> str:
    """Status, code and what was said about it."""
    pointer = answer.body.get("pointer")
    return f"{answer.status} {answer.code}: {answer.detail}" + (f" ({pointer})" if pointer else "")
