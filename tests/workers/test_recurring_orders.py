"""Orders that come again: one a moment, whatever happens in between."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from erp.recurring.errors import SlotSettled
from erp.recurring.ordering import place_recurring_order
from tenancy.caller import TenantFacts, system_caller
from tenancy.database import TenantDatabase
from tests.api.whole.conftest import Newcomer as NewTenant
from tests.api.whole.conftest import Tenant
from tests.workers.clockwork import Clockwork
from tests.workers.clockwork import clockwork as clockwork
from tests.workers.conftest import Tables


async def subscription(tenant: Tenant, stock: str = "100", **fields: Any) -> Any:
    """A recurring order of five pieces."""
    customer = await tenant.make("parties", code=f"C-{uuid.uuid4().hex[:6]}", name="Regular", is_customer=True)
    product = await tenant.make("products", code=f"P-{uuid.uuid4().hex[:6]}", name="Beans", sale_price="10")
    line = {"product_id": product["id"], "quantity": "5"}
    await tenant.make("stock-adjustments", reason="opening", lines=[{**line, "quantity": stock, "unit_cost": "4"}])
    order = {"party_id": customer["id"], "lines": [line]}
    body = {"name": f"Every morning {uuid.uuid4().hex[:6]}", "order": order, "cron": "0 6 * * *", **fields}
    return await tenant.make("recurring-orders", **body)


async def orders_of(tenant: Tenant) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await tenant.get("/v1/sales-orders"))["data"]
    return found


async def runs_of(tenant: Tenant, recurring: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await tenant.get(f"/v1/recurring-orders/{recurring['id']}/runs"))["data"]
    return found


async def change(tenant: Tenant, recurring: Any, expect: int = 200, **fields: Any) -> Any:
    path = f"/v1/recurring-orders/{recurring['id']}"
    version = (await tenant.get(path))["version"]
    reply = await tenant.client.patch(path, json=fields, headers={"If-Match": f'"{version}"'})
    assert reply.status_code == expect, reply.text
    return reply.json()


async def test_an_order_is_made_of_its_template_at_every_moment_and_ends_with_its_number(
    new_tenant: NewTenant, clockwork: Clockwork
) -> None:
    tenant = await new_tenant()
    recurring = await subscription(tenant, confirm=True, most_orders=2)
    assert (recurring["state"], recurring["time_zone"], recurring["made"]) == ("active", "Europe/London", 0)
    for days in (2, 1):
        await clockwork.strike(recurring["schedule_id"], timedelta(days=days))
        [job] = await clockwork.work(tenant)
        assert job["state"] == "done", job["error_detail"]
    orders = await orders_of(tenant)
    assert [(order["state"], order["gross"]) for order in orders] == [("confirmed", "50.00")] * 2
    assert {run["order_id"] for run in await runs_of(tenant, recurring)} == {order["id"] for order in orders}
    after = await tenant.get(f"/v1/recurring-orders/{recurring['id']}")
    assert (after["state"], after["made"], after["next_at"]) == ("ended", 2, None)
    # Nothing makes a third one: not the clock, not by hand, not a change.
    refused = await tenant.post(f"/v1/recurring-orders/{recurring['id']}/run", expect=409)
    assert refused["code"] == "invalid-state"
    assert (await change(tenant, recurring, 409, paused=False))["code"] == "invalid-state"


async def test_one_moment_makes_one_order_however_many_work_on_it(
    new_tenant: NewTenant, clockwork: Clockwork, database: TenantDatabase
) -> None:
    tenant = await new_tenant()
    recurring = await subscription(tenant, confirm=True)
    slot = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    caller = caller_of(tenant)

    async def place() -> str:
        try:
            made = await database.run(
                caller, lambda work: place_recurring_order(work, uuid.UUID(recurring["id"]), slot)
            )
        except SlotSettled:
            return "settled"
        return str(made.value["order_id"])

    outcomes = await asyncio.gather(*(place() for _ in range(8)))
    assert outcomes.count("settled") == 7
    [order] = await orders_of(tenant)
    assert order["id"] in outcomes
    [level] = (await tenant.get("/v1/stock-levels"))["data"]
    assert level["reserved"] == "5"
    assert (await tenant.get(f"/v1/recurring-orders/{recurring['id']}"))["made"] == 1


async def test_without_the_key_of_the_slot_one_moment_makes_several(
    new_tenant: NewTenant, clockwork: Clockwork, database: TenantDatabase, tables: Tables,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The planted bug of the test above: every attempt believes the slot to be its own."""
    original = place_recurring_order

    async def careless(work: Any, recurring_id: uuid.UUID, slot: datetime) -> Any:
        return await original(work, recurring_id, slot + timedelta(microseconds=uuid.uuid4().int % 900_000))

    monkeypatch.setattr("tests.workers.test_recurring_orders.place_recurring_order", careless)
    with pytest.raises(AssertionError):
        await test_one_moment_makes_one_order_however_many_work_on_it(new_tenant, clockwork, database)


def caller_of(tenant: Tenant) -> Any:
    facts = TenantFacts(uuid.UUID(tenant.id), tenant.slug, "T", "active", "GBP", "GB", "Europe/London")
    return system_caller(facts, name="test", correlation_id="test-recurring")


@pytest.mark.parametrize(
    ("policy", "state", "notice"),
    [
        ("skip", None, "recurring_order_skipped"), ("backorder", "confirmed", None),
        ("draft", "draft", "recurring_order_draft"),
    ],
)  # fmt: skip
async def test_where_stock_lacks_its_policy_decides(
    new_tenant: NewTenant, clockwork: Clockwork, policy: str, state: str | None, notice: str | None
) -> None:
    tenant = await new_tenant()
    recurring = await subscription(tenant, stock="3", confirm=True, when_short=policy)
    await clockwork.strike(recurring["schedule_id"])
    [job] = await clockwork.work(tenant)
    assert job["state"] == "done", job["error_detail"]
    assert [order["state"] for order in await orders_of(tenant)] == ([state] if state else [])
    [run] = await runs_of(tenant, recurring)
    assert run["outcome"] == ("ordered" if state else "skipped")
    notices = (await tenant.get("/v1/notices"))["data"]
    assert [one["kind"] for one in notices] == ([notice] if notice else [])
    if notice:
        assert (notices[0]["subject_id"], notices[0]["data"]["code"]) == (recurring["id"], "insufficient-stock")


async def test_a_party_that_is_blocked_gets_no_order_and_somebody_is_told(
    new_tenant: NewTenant, clockwork: Clockwork
) -> None:
    tenant = await new_tenant()
    recurring = await subscription(tenant)
    path = f"/v1/parties/{recurring['order']['party_id']}"
    reply = await tenant.client.patch(path, json={"active": False}, headers={"If-Match": '"1"'})
    assert reply.is_success, reply.text
    await clockwork.strike(recurring["schedule_id"])
    [job] = await clockwork.work(tenant)
    assert (job["state"], job["result"]["code"]) == ("done", "party-inactive")
    assert await orders_of(tenant) == []
    [run] = await runs_of(tenant, recurring)
    assert (run["outcome"], run["code"], run["order_id"]) == ("skipped", "party-inactive", None)
    [notice] = (await tenant.get("/v1/notices"))["data"]
    assert (notice["kind"], notice["data"]["code"]) == ("recurring_order_skipped", "party-inactive")
    # A replay of the job tells nobody twice and makes nothing.
    await clockwork.strike(recurring["schedule_id"])
    await clockwork.work(tenant)
    assert len((await tenant.get("/v1/notices"))["data"]) == 1


async def test_it_ends_with_its_last_day(new_tenant: NewTenant, clockwork: Clockwork) -> None:
    tenant = await new_tenant()
    last = (datetime.now(UTC) - timedelta(days=3)).date().isoformat()
    recurring = await subscription(tenant, ends_on=last)
    await clockwork.strike(recurring["schedule_id"])
    [job] = await clockwork.work(tenant)
    assert job["result"] == {"order_id": None, "ended": "ends_on"}
    assert (await tenant.get(f"/v1/recurring-orders/{recurring['id']}"))["state"] == "ended"
    assert await orders_of(tenant) == []


async def test_a_pause_makes_nothing_up(new_tenant: NewTenant, clockwork: Clockwork) -> None:
    tenant = await new_tenant()
    recurring = await subscription(tenant)
    paused = await change(tenant, recurring, paused=True)
    assert (paused["state"], paused["next_at"]) == ("paused", None)
    await clockwork.schedules.tick()
    going = await change(tenant, recurring, paused=False)
    assert going["state"] == "active"
    assert datetime.fromisoformat(going["next_at"]) > datetime.now(UTC)
    by_hand = await tenant.post(f"/v1/recurring-orders/{recurring['id']}/run", expect=202)
    again = await tenant.post(f"/v1/recurring-orders/{recurring['id']}/run", expect=202)
    assert by_hand["id"] == again["id"]  # while it has not been done
    await clockwork.work(tenant)
    [order] = await orders_of(tenant)
    assert order["state"] == "draft"
    # The order follows from the run that was asked for.
    shown = {one["type"]: one for one in (await tenant.get("/v1/events", limit="200"))["data"]}
    assert shown["schedule_run.requested"]["stream_id"] == by_hand["id"]
    assert shown["sales_order.created"]["causation_id"] == shown["schedule_run.requested"]["id"]


async def test_a_template_that_could_not_be_ordered_is_refused(new_tenant: NewTenant) -> None:
    tenant = await new_tenant()
    good = await subscription(tenant)
    order = good["order"]
    nobody = {**order, "party_id": str(uuid.uuid4())}
    nothing = {**order, "lines": [{"product_id": str(uuid.uuid4()), "quantity": "1"}]}
    for body, code, pointer in (
        ({"order": nobody}, "unknown-reference", "/order/party_id"),
        ({"order": nothing}, "unknown-reference", "/order/lines/0/product_id"),
        ({"cron": "0 6 * *  "}, "invalid-value", "/cron"),
        ({"cron": "* 6 * * *"}, "schedule-too-frequent", "/cron"),
        ({"time_zone": "Mars/Olympus"}, "invalid-value", "/time_zone"),
        ({"name": good["name"]}, "duplicate", "/name"),
    ):
        whole = {"name": "Another", "order": order, "cron": "0 6 * * *", **body}
        problem = await tenant.post("/v1/recurring-orders", whole, 409 if code == "duplicate" else 422)
        assert (problem["code"], problem["pointer"]) == (code, pointer)
    # Its schedule is not to be changed behind its back.
    reply = await tenant.client.delete(f"/v1/schedules/{good['schedule_id']}")
    assert (reply.status_code, reply.json()["code"]) == (409, "schedule-of-record")


async def test_it_begins_on_its_first_day_and_not_after_the_end_of_calendars(new_tenant: NewTenant) -> None:
    tenant = await new_tenant(time_zone="Asia/Tokyo")
    next_year = datetime.now(UTC).year + 1
    later = await subscription(tenant, starts_on=f"{next_year}-03-01")
    assert later["next_at"] == f"{next_year}-02-28T21:00:00Z", "six in the morning in Tokyo"
    for begun in ("0001-01-01", "1970-01-01"):
        assert (await subscription(tenant, starts_on=begun))["next_at"] > later["created_at"]
    for cron in ("0 6 1 * *", "0 * 1 * *"):
        never = {"name": "Never", "order": later["order"], "cron": cron, "starts_on": "9999-12-31"}
        refused = await tenant.post("/v1/recurring-orders", never, 422)
        assert (refused["code"], refused["pointer"]) == ("invalid-value", "/starts_on")
