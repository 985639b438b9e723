"""Chapter two: orders to suppliers, goods that come in parts, their bills, and money that leaves."""

from decimal import Decimal

from erp.exchange.demo.client import Json
from erp.exchange.demo.companies import Item
from erp.exchange.demo.shop import Shop, operation, plain, result

#: The first supplier delivers this share of every line at first.
_FIRST_PART = Decimal("0.6")
_LOW_STOCK_BOUGHT = Decimal(30)
_DEARER = Decimal("1.02")


def stock_up(shop: Shop) -> None:
    """Three suppliers, three ways an order can go. Raises UnexpectedAnswer."""
    bought = shop.trading.bought(shop.company.items)
    _in_two_parts(shop, [(item, quantity) for item, quantity in bought if item.supplier == 0])
    _at_once(shop, [(item, quantity) for item, quantity in bought if item.supplier == 1])
    _not_all_yet(shop)


def receive_the_rest(shop: Shop) -> Json:
    """What the third supplier still owed arrives. Raises UnexpectedAnswer."""
    order = shop.client.rows("/v1/purchase-orders", external_id="demo:po:3")[0]
    receipt: Json = shop.post(
        f"/v1/purchase-orders/{order['id']}/receipts", "po:3:rest", {"external_id": "demo:gr:3b"}
    )
    return receipt


def _in_two_parts(shop: Shop, bought: list[tuple[Item, Decimal]]) -> None:
    """Two receipts, one bill a little dearer than ordered, paid in full: all of it in one transaction."""
    old = shop.calendar.old_day
    first = [
        {"line_no": line_no, "quantity": plain((quantity * _FIRST_PART).to_integral_value())}
        for line_no, (_, quantity) in enumerate(bought, start=1)
    ]
    dearer = {"line_no": 1, "unit_price": f"{Decimal(bought[0][0].cost) * _DEARER:.6f}"}
    others = [{"line_no": line_no} for line_no in range(2, len(bought) + 1)]
    order, one, two, bill, payment = shop.batch(
        "po:1",
        operation("purchase_orders.create", _order(shop, 0, bought, "demo:po:1")),
        operation(
            "purchase_orders.receive",
            {"lines": first, "date": old(2).isoformat(), "external_id": "demo:gr:1a"}, result(0),
        ),
        operation("purchase_orders.receive", {"date": old(4).isoformat(), "external_id": "demo:gr:1b"}, result(0)),
        operation("supplier_bills.create", {**_bill(shop, 0, "HP-20117", 6), "lines": [dearer, *others]}),
        operation("payments.create", _payment(shop, 0, result(3, "gross"), 20, "demo:paid:1")),
    )  # fmt: skip
    shop.tell(
        f"bought for {shop.money(order['net'])} net ({order['number']}); it came in two parts ({one['number']}, "
        f"{two['number']}); the bill {bill['number']} was {shop.money(bill['variance'])} dearer than ordered; "
        f"paid with {payment['number']}"
    )


def _at_once(shop: Shop, bought: list[tuple[Item, Decimal]]) -> None:
    """Received as ordered, billed, and half of it paid."""
    order, receipt, bill = shop.batch(
        "po:2",
        operation("purchase_orders.create", _order(shop, 1, bought, "demo:po:2")),
        operation(
            "purchase_orders.receive",
            {"date": shop.calendar.old_day(3).isoformat(), "external_id": "demo:gr:2"}, result(0),
        ),
        operation("supplier_bills.create", _bill(shop, 1, "2244/B", 7)),
    )  # fmt: skip
    half = f"{Decimal(bill['gross']) / 2:.2f}"
    payment = shop.post("/v1/payments", "paid:2", _payment(shop, 1, half, 25, "demo:paid:2", bill["id"]))
    shop.tell(
        f"bought for {shop.money(order['net'])} net ({order['number']}), received with {receipt['number']}; of "
        f"the bill over {shop.money(bill['gross'])} {shop.money(payment['amount'])} are paid so far"
    )


def _not_all_yet(shop: Shop) -> None:
    """Only a part of one line has come; that part is billed and the rest expected."""
    scene, low = shop.company.scene, shop.company.low
    bought = [(scene.item, Decimal(scene.quantity)), (low, _LOW_STOCK_BOUGHT)]
    came = [{"line_no": 1, "quantity": str(scene.first)}, {"line_no": 2}]
    order, receipt, bill = shop.batch(
        "po:3",
        operation("purchase_orders.create", _order(shop, 2, bought, "demo:po:3")),
        operation(
            "purchase_orders.receive",
            {"lines": came, "date": shop.calendar.old_day(4).isoformat(), "external_id": "demo:gr:3a"}, result(0),
        ),
        operation("supplier_bills.create", _bill(shop, 2, "LM 7781", 8)),
    )  # fmt: skip
    rest = scene.quantity - scene.first
    shop.tell(
        f"of {scene.quantity} {scene.item.name} ordered with {order['number']} only {scene.first} came "
        f"({receipt['number']}); {rest} more are expected, billed is what came ({bill['number']})"
    )


def _order(shop: Shop, supplier: int, bought: list[tuple[Item, Decimal]], external_id: str) -> Json:
    return {
        "party_id": shop.supplier(supplier), "lines": shop.purchase_lines(bought), "confirm": True,
        "date": shop.calendar.old_day(1).isoformat(), "external_id": external_id,
    }  # fmt: skip


def _bill(shop: Shop, supplier: int, supplier_number: str, day: int) -> Json:
    return {
        "party_id": shop.supplier(supplier), "supplier_number": supplier_number, "order_id": result(0),
        "date": shop.calendar.old_day(day).isoformat(), "external_id": f"demo:bill:{supplier + 1}",
    }  # fmt: skip


def _payment(
    shop: Shop, supplier: int, amount: str | Json, day: int, external_id: str, bill: str | None = None
) -> Json:
    return {
        "direction": "out", "party_id": shop.supplier(supplier), "amount": amount,
        "date": shop.calendar.old_day(day).isoformat(), "external_id": external_id,
        "allocations": [{"bill_id": bill or result(3), "amount": amount}],
    }  # fmt: skip
