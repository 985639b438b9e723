"""The credit limit through the API: what a client is told, and how it goes on."""

from tests.api.whole.conftest import Tenant
from tests.api.whole.trading import stocked_product


async def test_a_refusal_tells_limit_exposure_and_order_and_how_to_go_on(tenant: Tenant) -> None:
    product = await stocked_product(tenant, "P", "100")
    customer = await tenant.make("parties", code="C", name="Customer", is_customer=True, credit_limit="25")
    line = {"product_id": product["id"], "quantity": "2"}
    order = {"party_id": customer["id"], "lines": [line]}
    await tenant.make("sales-orders", **order, confirm=True)
    draft = await tenant.make("sales-orders", **order)
    confirm = f"/v1/sales-orders/{draft['id']}/confirm"
    problem = await tenant.post(confirm, {}, 409)
    assert (problem["code"], problem["retryable"], problem["party_id"]) == (
        "credit-limit-exceeded", False, customer["id"],
    )  # fmt: skip
    facts = ("credit_limit", "exposure", "order_amount", "exceeded_by", "uninvoiced_orders", "open_receivables")
    assert [problem[name] for name in facts] == ["25.00", "20.00", "20.00", "15.00", "20.00", "0.00"]
    assert "credit_override" in problem["hint"]
    credit = await tenant.get(f"/v1/parties/{customer['id']}/credit")
    assert credit == {
        "party_id": customer["id"], "currency": "GBP", "credit_limit": "25.00", "open_receivables": "0.00",
        "advances": "0.00", "uninvoiced_orders": "20.00", "exposure": "20.00", "available": "5.00",
    }  # fmt: skip
    await tenant.make("payments", direction="in", party_id=customer["id"], amount="20.00")
    assert (await tenant.get(f"/v1/parties/{customer['id']}/credit"))["available"] == "25.00"
    assert (await tenant.post(confirm, {}, 200))["state"] == "confirmed"
    beyond = await tenant.make("sales-orders", **order, confirm=True, credit_override="Agreed with the boss")
    assert beyond["state"] == "confirmed"
    assert (await tenant.get(f"/v1/parties/{customer['id']}/credit"))["available"] == "-15.00"
    without = await tenant.make("parties", code="D", name="Without", is_customer=True)
    unlimited = await tenant.get(f"/v1/parties/{without['id']}/credit")
    assert (unlimited["credit_limit"], unlimited["available"], unlimited["exposure"]) == (None, None, "0.00")


async def test_a_sales_key_does_not_override_a_limit(tenant: Tenant) -> None:
    product = await stocked_product(tenant, "P", "100")
    customer = await tenant.make("parties", code="C", name="Customer", is_customer=True, credit_limit="1")
    order = {"party_id": customer["id"], "lines": [{"product_id": product["id"], "quantity": "2"}], "confirm": True}

    async def ordered_with(**key: object) -> int:
        made = await tenant.make("api-keys", **key)
        headers = {"Authorization": f"Bearer {made['secret']}", "Idempotency-Key": f"order-of-{made['id']}"}
        body = {**order, "credit_override": "I know them"}
        return (await tenant.client.post("/v1/sales-orders", json=body, headers=headers)).status_code

    assert await ordered_with(name="clerk", role="sales") == 403
    assert await ordered_with(name="chief", role="sales", scopes=["credit_limits:override"]) == 201
