"""Chapter three: sales over the counter as one stream, and orders that go all the way from order to cash."""

from datetime import timedelta
from decimal import Decimal

from erp.exchange.demo.client import Json
from erp.exchange.demo.generate import Sale
from erp.exchange.demo.shop import Shop, operation, result

_DAYS_TO_PAY = 9


def sell_over_the_counter(shop: Shop) -> None:
    """Order, delivery and posted invoice at once, for both past months. Raises UnexpectedAnswer."""
    sales = {f"demo:counter:{sale.number}": sale for sale in shop.trading.counter}
    shop.client.bulk("direct-sales", {key: _direct_sale(shop, sale, key) for key, sale in sales.items()})
    invoices = _invoices_of(shop, set(sales))
    payments = {
        f"demo:counter-paid:{sale.number}": _payment(shop, sale, invoices[key])
        for key, sale in sales.items()
        if sale.paid
    }
    shop.client.bulk("payments", payments)
    net = sum((Decimal(invoice["net"]) for invoice in invoices.values()), Decimal(0))
    shop.tell(
        f"sold {len(sales)} times over the counter in two months for {shop.money(net)} net; "
        f"{len(payments)} of the invoices are paid"
    )


def fulfil_orders(shop: Shop) -> None:
    """Each order from confirming to the money in one transaction; one more is given up. Raises UnexpectedAnswer."""
    numbers = [_order_to_cash(shop, sale) for sale in shop.trading.orders]
    shop.tell(
        f"{len(numbers)} orders went from confirmed to paid, each in one atomic batch of five commands: "
        f"invoices {numbers[0]} to {numbers[-1]}"
    )
    first = shop.trading.orders[0]
    order, _ = shop.batch(
        "cancelled",
        operation(
            "sales_orders.create",
            {
                "party_id": shop.customer(first.customer), "lines": shop.lines(first.lines), "confirm": True,
                "date": first.day.isoformat(), "external_id": "demo:so:cancelled",
            },
        ),
        operation("sales_orders.cancel", {"reason": "The customer ordered twice"}, result(0)),
    )  # fmt: skip
    shop.tell(f"{order['number']} reserved its goods and was cancelled: they are free again")


def _direct_sale(shop: Shop, sale: Sale, external_id: str) -> Json:
    return {
        "party_id": shop.customer(sale.customer), "lines": shop.lines(sale.lines), "date": sale.day.isoformat(),
        "external_id": external_id,
    }  # fmt: skip


def _invoices_of(shop: Shop, external_ids: set[str]) -> dict[str, Json]:
    """External id -> the invoice that was posted with it."""
    invoices = shop.client.rows("/v1/invoices", kind="invoice")
    return {row["external_id"]: row for row in invoices if row["external_id"] in external_ids}


def _payment(shop: Shop, sale: Sale, invoice: Json) -> Json:
    return {
        "direction": "in", "party_id": shop.customer(sale.customer), "amount": invoice["gross"],
        "date": min(shop.calendar.today, sale.day + timedelta(days=sale.number % _DAYS_TO_PAY)).isoformat(),
        "method": "card" if sale.number % 2 else "bank_transfer", "external_id": f"demo:counter-paid:{sale.number}",
        "allocations": [{"invoice_id": invoice["id"], "amount": invoice["gross"]}],
    }  # fmt: skip


def _order_to_cash(shop: Shop, sale: Sale) -> str:
    """The number of the paid invoice."""
    name, party, on = f"so:{sale.number}", shop.customer(sale.customer), sale.day.isoformat()
    gross = result(3, "gross")
    order = {"party_id": party, "lines": shop.lines(sale.lines), "date": on, "confirm": True}
    payment = {"direction": "in", "party_id": party, "amount": gross, "date": on, "external_id": f"demo:paid:{name}"}
    _, _, _, invoice, _ = shop.batch(
        name,
        operation("sales_orders.create", {**order, "external_id": f"demo:{name}"}),
        operation("sales_orders.deliver", {"date": on, "external_id": f"demo:dn:{name}"}, result(0)),
        operation("sales_orders.invoice", {"date": on, "external_id": f"demo:inv:{name}"}, result(0)),
        operation("invoices.post", {}, result(2)),
        operation("payments.create", {**payment, "allocations": [{"invoice_id": result(2), "amount": gross}]}),
    )
    return str(invoice["number"])
