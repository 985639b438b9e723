"""Chapters five and six: the stock room, and the end of the month."""

from erp.exchange.demo.client import Json
from erp.exchange.demo.shop import LAST_ENTRY, Shop

_HELD, _TRADE_FAIR_SECONDS, _LONGER_SECONDS = "4", 3_600, 86_400


def fill_a_basket(shop: Shop) -> None:
    """A reservation nobody comes back for: the workers free it when it has expired. Raises UnexpectedAnswer."""
    product = shop.products[shop.company.held.code]
    basket = _reserve(shop, "basket", product, 1, "Web shop basket")
    shop.tell(f"a web shop's basket holds {basket['quantity']} {shop.company.held.name} for one second")


def keep_the_stock_room(shop: Shop) -> None:
    """A reservation, a correction with its reason, a level that falls below its point. Raises UnexpectedAnswer."""
    product = shop.products[shop.company.held.code]
    held = _reserve(shop, "trade-fair", product, _TRADE_FAIR_SECONDS, "Trade fair stand")
    held = shop.post(f"/v1/reservations/{held['id']}/extend", "trade-fair:longer", {"expires_in": _LONGER_SECONDS})
    shop.tell(
        f"{held['quantity']} {shop.company.held.name} are held for a trade fair until {held['expires_at'][:16]} UTC"
    )
    adjustment = shop.post("/v1/stock-adjustments", "breakage", _breakage(shop, "demo:breakage"))
    shop.tell(
        f"a count found breakage: {adjustment['number']} changed the stock's value by "
        f"{shop.money(adjustment['value'])}"
    )
    _sell_below_the_reorder_point(shop)


def end_the_month(shop: Shop) -> None:
    """Rent, then the older month is closed and a late document moved out of it. Raises UnexpectedAnswer."""
    calendar, company = shop.calendar, shop.company
    shop.post("/v1/journal-entries", "rent", _rent(shop))
    period = shop.client.get("/v1/periods", start_date=calendar.old.isoformat())["data"][0]
    closed = shop.post(f"/v1/periods/{period['id']}/close", "close", {"reason": "Month end", "state": "soft_closed"})
    late = shop.post(
        "/v1/stock-adjustments",
        "late",
        {**_breakage(shop, "demo:late"), "date": calendar.old_day(28).isoformat(), "text": "Found late"},
    )
    shop.tell(
        f"paid the rent and closed {closed['start_date'][:7]}; {late['number']}, dated {late['date']}, was moved to "
        f"{late['accounting_date']}"
    )
    entry = shop.post(
        "/v1/journal-entries",
        "month-end",
        {
            "date": calendar.recent_day(28).isoformat(), "text": "Bank charges", "external_id": LAST_ENTRY,
            "lines": [{"account": "@expense", "debit": "12.50"}, {"account": "@bank", "credit": "12.50"}],
        },
    )  # fmt: skip
    shop.tell(f"the last entry of {company.name} is {entry['number']}")


def _reserve(shop: Shop, name: str, product: str, seconds: int, reference: str) -> Json:
    reservation: Json = shop.post(
        "/v1/reservations",
        name,
        {
            "product_id": product, "quantity": _HELD, "expires_in": seconds, "reference": reference,
            "external_id": f"demo:{name}",
        },
    )  # fmt: skip
    return reservation


def _breakage(shop: Shop, external_id: str) -> Json:
    found, broken = shop.company.items[:2]
    return {
        "reason": "breakage", "external_id": external_id,
        "lines": [
            {"product_id": shop.products[broken.code], "quantity": "-2"},
            {"product_id": shop.products[found.code], "quantity": "1"},
        ],
    }  # fmt: skip


def _rent(shop: Shop) -> Json:
    return {
        "date": shop.calendar.old_day(28).isoformat(), "text": "Rent", "external_id": "demo:rent",
        "lines": [
            {"account": "@expense", "debit": shop.company.rent}, {"account": "@bank", "credit": shop.company.rent},
        ],
    }  # fmt: skip


def _sell_below_the_reorder_point(shop: Shop) -> None:
    item = shop.company.low
    lines = [{"product_id": shop.products[item.code], "quantity": "15"}]
    sale = shop.post(
        "/v1/direct-sales", "low", {"party_id": shop.customer(1), "lines": lines, "external_id": "demo:low"}
    )
    shop.tell(f"15 {item.name} were sold ({sale['invoice_number']}): fewer are left than the reorder point")
