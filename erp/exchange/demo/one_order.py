"""Chapter four: one order step by step, as separate requests, with what is refused on the way."""

from erp.exchange.demo.buying import receive_the_rest
from erp.exchange.demo.client import Json, UnexpectedAnswer
from erp.exchange.demo.shop import ADVANCE, Shop

_SECOND_PAYMENT = "300.00"


def follow_one_order(shop: Shop) -> None:
    """Ordered more than there is: refused, taken in part, the rest later. Raises UnexpectedAnswer."""
    order = _confirm_what_is_there(shop)
    first = _deliver(shop, order, "one:dn:1", [{"line_no": 1, "quantity": str(shop.company.scene.delivered)}])
    second = _deliver(shop, order, "one:dn:2", None)
    left = shop.client.get(f"/v1/sales-orders/{order['id']}")["lines"][0]["backorder"]
    shop.tell(
        f"delivered in two parts, {first['number']} and {second['number']}; {left} stay on backorder "
        f"({second['order_state'].replace('_', ' ')})"
    )
    invoice = _invoice(shop, order, "one:inv:1")
    receipt = receive_the_rest(shop)
    shop.post(f"/v1/sales-orders/{order['id']}/reserve", "one:reserve", {})
    third = _deliver(shop, order, "one:dn:3", None)
    _invoice(shop, order, "one:inv:2")
    shop.tell(
        f"the supplier's rest came ({receipt['number']}) and was reserved, delivered ({third['number']}) and invoiced"
    )
    _pay(shop, invoice)
    _take_back(shop, first, invoice)


def advance_payment(shop: Shop) -> Json:
    """Money that comes before it is known for which invoice."""
    return {
        "direction": "in", "party_id": shop.customer(0), "amount": ADVANCE, "reference": "on account",
        "external_id": "demo:advance",
    }  # fmt: skip


def _confirm_what_is_there(shop: Shop) -> Json:
    scene = shop.company.scene
    order: Json = shop.post(
        "/v1/sales-orders",
        "one:order",
        {
            "party_id": shop.customer(0), "reference": "PO 4471", "external_id": "demo:so:one",
            "lines": [
                {"product_id": shop.products[scene.item.code], "quantity": str(scene.quantity)},
                {"product_id": shop.products[scene.service], "quantity": "1"},
            ],
        },
    )  # fmt: skip
    confirm = f"/v1/sales-orders/{order['id']}/confirm"
    refusal = shop.client.refused(confirm, {}, "insufficient-stock", key=shop.key("one:confirm-all"))
    shop.tell(
        f"{order['number']} asks for {scene.quantity} {scene.item.name}; all or nothing is refused: "
        f"{refusal.status} {refusal.code}, {refusal.detail}"
    )
    confirmed: Json = shop.post(confirm, "one:confirm-part", {"allow_partial": True})
    line = confirmed["lines"][0]
    shop.tell(f"confirmed in part: {line['reserved']} reserved, {line['backorder']} on backorder")
    return confirmed


def _deliver(shop: Shop, order: Json, name: str, lines: list[Json] | None) -> Json:
    body: Json = {"external_id": f"demo:{name}"}
    delivery: Json = shop.post(
        f"/v1/sales-orders/{order['id']}/deliveries", name, body if lines is None else {**body, "lines": lines}
    )
    return delivery


def _invoice(shop: Shop, order: Json, name: str) -> Json:
    draft = shop.post(f"/v1/sales-orders/{order['id']}/invoices", name, {"external_id": f"demo:{name}"})
    posted: Json = shop.post(f"/v1/invoices/{draft['id']}/post", f"{name}:post", {})
    return posted


def _pay(shop: Shop, invoice: Json) -> None:
    """An advance that is allocated, more than it holds refused; then a part of the rest."""
    advance = shop.post("/v1/payments", "one:advance", advance_payment(shop))
    repeated = shop.client.ask("POST", "/v1/payments", advance_payment(shop), key=shop.key("one:advance"))
    if not repeated.replayed or repeated.body != advance:
        raise UnexpectedAnswer(f"{repeated} It should have been the stored answer of the first request.")
    shop.tell(f"an advance of {shop.money(ADVANCE)} came in ({advance['number']}); sent twice, booked once")
    target = [{"invoice_id": invoice["id"], "amount": ADVANCE}]
    path = f"/v1/payments/{advance['id']}/allocations"
    shop.post(path, "one:allocate", {"allocations": target})
    too_much = {"allocations": [{"invoice_id": invoice["id"], "amount": "0.01"}]}
    refusal = shop.client.refused(path, too_much, "over-allocation", key=shop.key("one:over"))
    part = {**advance_payment(shop), "amount": _SECOND_PAYMENT, "reference": "", "external_id": "demo:paid:one"}
    target = [{"invoice_id": invoice["id"], "amount": _SECOND_PAYMENT}]
    shop.post("/v1/payments", "one:paid", {**part, "allocations": target})
    now = shop.client.get(f"/v1/invoices/{invoice['id']}")
    shop.tell(
        f"allocated to {invoice['number']}, one cent more is refused: {refusal.status} {refusal.code}; after "
        f"another {shop.money(_SECOND_PAYMENT)} there are {shop.money(now['open_amount'])} open "
        f"({_words(now['payment_state'])})"
    )


def _take_back(shop: Shop, delivery: Json, invoice: Json) -> None:
    """Some of it comes back: goods and value into stock at their old cost, money as a credit note."""
    quantity = str(shop.company.scene.returned)
    place = shop.client.get("/v1/locations", code="RETURNS")["data"][0]["id"]
    returned = shop.post(
        f"/v1/deliveries/{delivery['id']}/returns",
        "one:return",
        {
            "reason": "Damaged in transit", "lines": [{"line_no": 1, "quantity": quantity}], "location_id": place,
            "external_id": "demo:return",
        },
    )  # fmt: skip
    credit = shop.post(
        f"/v1/invoices/{invoice['id']}/credit",
        "one:credit",
        {
            "reason": "Damaged in transit", "lines": [{"line_no": 1, "quantity": quantity}],
            "external_id": "demo:credit",
        },
    )  # fmt: skip
    shop.tell(
        f"{quantity} came back ({returned['number']}, worth {shop.money(returned['cost'])} when they left); "
        f"credit note {credit['number']} over {shop.money(credit['gross'])}"
    )


def _words(state: str) -> str:
    return state.replace("_", " ")
