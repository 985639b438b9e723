"""Ledger, invoices and payments as a client meets them."""

from typing import Any

from tests.api.whole.conftest import Tenant

LINES = [{"account": "@expense", "debit": "12.50"}, {"account": "@bank", "credit": "12.50"}]


async def customer_of(tenant: Tenant) -> str:
    party = await tenant.make("parties", code="CUST", name="Customer", is_customer=True, payment_terms_days=14)
    return str(party["id"])


def line(amount: str) -> dict[str, Any]:
    return {"description": "Work", "quantity": "1", "unit_price": amount, "tax_rate": "20"}


async def account_id(tenant: Tenant, code: str) -> str:
    [account] = (await tenant.get("/v1/accounts", code=code))["data"]
    return str(account["id"])


async def test_an_invoice_is_written_posted_credited_and_paid(tenant: Tenant) -> None:
    party = await customer_of(tenant)
    draft = await tenant.make("invoices", party_id=party, lines=[line("100")])
    assert (draft["state"], draft["gross"], draft["number"]) == ("draft", "120.00", None)
    reply = await tenant.client.put(
        f"/v1/invoices/{draft['id']}",
        json={"date": draft["date"], "lines": [line("200")]},
        headers={"If-Match": f'"{draft["version"]}"'},
    )
    assert reply.json()["gross"] == "240.00"
    invoice = await tenant.post(f"/v1/invoices/{draft['id']}/post", {}, 200)
    assert invoice["number"].startswith("INV-")
    credit = await tenant.post(
        f"/v1/invoices/{invoice['id']}/credit",
        {"reason": "Half came back", "lines": [{"line_no": 1, "quantity": "0.5"}]},
        201,
    )
    assert (credit["gross"], credit["payment_state"]) == ("120.00", "paid")
    settling = [{"invoice_id": invoice["id"], "amount": "120.00"}]
    payment = await tenant.make("payments", direction="in", party_id=party, amount="150.00", allocations=settling)
    assert payment["unallocated"] == "30.00"
    shown = await tenant.get(f"/v1/invoices/{invoice['id']}")
    assert (shown["payment_state"], shown["credited_by"]) == ("paid", [credit["id"]])
    refused = await tenant.post(f"/v1/payments/{payment['id']}/allocations", {"allocations": settling}, 409)
    assert (refused["code"], refused["document"]) == ("over-allocation", invoice["number"])
    taken = payment["allocations"][0]["id"]
    body = {"allocation_ids": [taken], "reason": "Another invoice"}
    payment = await tenant.post(f"/v1/payments/{payment['id']}/deallocate", body, 200)
    assert payment["allocations"][0]["taken_back"] is True
    assert await tenant.get(f"/v1/payments/{payment['id']}") == payment
    reversed_ = await tenant.post(f"/v1/payments/{payment['id']}/reverse", {"reason": "Bounced"}, 200)
    assert (reversed_["state"], reversed_["unallocated"]) == ("reversed", "0.00")
    spent = await tenant.get(f"/v1/invoices/{credit['id']}/allocations")
    assert [row["invoice_id"] for row in spent["allocations"]] == [invoice["id"]]
    aged = await tenant.get("/v1/aged-receivables")
    assert (aged["total"], aged["parties"][0]["code"], aged["parties"][0]["not_due"]) == ("120.00", "CUST", "120.00")
    assert (await tenant.get("/v1/aged-payables"))["parties"] == []
    assert (await tenant.get("/v1/proof"))["holds"] is True


async def test_lists_of_the_money_slices_filter_and_page(tenant: Tenant) -> None:
    party = await customer_of(tenant)
    for amount in ("10", "20", "30"):
        await tenant.make("invoices", party_id=party, lines=[line(amount)], post=True)
    await tenant.make("payments", direction="in", party_id=party, amount="5.00")
    page = await tenant.get("/v1/invoices", limit="2", sort="date", state="posted", party_id=party)
    assert (len(page["data"]), page["has_more"]) == (2, True)
    rest = await tenant.get(
        "/v1/invoices", limit="2", sort="date", state="posted", party_id=party, cursor=page["next_cursor"]
    )
    numbers = {row["number"] for row in (*page["data"], *rest["data"])}
    assert len(numbers) == 3
    filters: Any
    for path, filters in {
        "/v1/open-items": {"open": "true", "party_id": party, "side": "receivable"},
        "/v1/payments": {"direction": "in", "sort": "-number", "count": "exact"},
        "/v1/journal-entries": {"journal": "sales", "sort": "-number"},
        "/v1/periods": {"state": "open", "count": "estimated"},
        "/v1/accounts": {"type": "asset,income", "code.prefix": "1"},
    }.items():
        found = await tenant.get(path, limit="1", **filters)
        assert found["data"], path
        one = found["data"][0]
        assert await tenant.get(f"{path}/{one['id']}"), path
        if found["has_more"]:
            assert (await tenant.get(path, limit="1", cursor=found["next_cursor"], **filters))["data"] != found[
                "data"
            ]
        assert list((await tenant.get(path, fields="id", **filters))["data"][0]) == ["id"]


async def test_the_general_ledger_pages_along_an_account_and_adds_up_to_its_balance(tenant: Tenant) -> None:
    for _ in range(5):
        await tenant.make("journal-entries", date="2026-11-20", lines=LINES)
    bank = await account_id(tenant, "1010")
    seen: list[Any] = []
    cursor: Any = {}
    while True:
        page = await tenant.get(f"/v1/accounts/{bank}/ledger", limit="2", **cursor)
        seen += page["data"]
        if not page["has_more"]:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert len({row["entry_id"] for row in seen}) == len(seen) == 5
    balance = await tenant.get(f"/v1/accounts/{bank}/balance", as_of="2026-11-20")
    assert (balance["debit"], balance["credit"], balance["balance"]) == ("0.00", "62.50", "-62.50")
    assert (await tenant.get(f"/v1/accounts/{bank}/balance", as_of="2026-11-19"))["balance"] == "0.00"
    for wrong in ("yesterday", "2026-02-30", "2026-11-30T00:00:00Z", ""):
        refused = await tenant.client.get("/v1/trial-balance", params={"as_of": wrong})
        assert refused.status_code in (400, 422), wrong
        assert refused.headers["content-type"] == "application/problem+json"
    trial = await tenant.get("/v1/trial-balance", as_of="2026-11-30")
    assert (trial["debit"], trial["credit"]) == ("62.50", "62.50")


async def test_an_entry_is_reversed_and_the_books_stay_in_balance(tenant: Tenant) -> None:
    entry = await tenant.make("journal-entries", date="2026-11-20", lines=LINES, text="Stamps")
    body = {"reason": "Wrong account", "date": "2026-11-21"}
    reversal = await tenant.post(f"/v1/journal-entries/{entry['id']}/reverse", body, 201)
    assert (await tenant.get(f"/v1/journal-entries/{entry['id']}"))["reversed_by_id"] == reversal["id"]
    again = await tenant.post(f"/v1/journal-entries/{entry['id']}/reverse", body, 409)
    assert again["code"] == "entry-already-reversed"


async def test_money_is_not_moved_without_an_idempotency_key(tenant: Tenant) -> None:
    body = {"date": "2026-11-20", "lines": LINES}
    reply = await tenant.client.post("/v1/journal-entries", json=body)
    assert reply.status_code in (400, 428)
    first = await tenant.post("/v1/journal-entries", body, 201, key="stamps-of-november")
    assert (await tenant.post("/v1/journal-entries", body, 201, key="stamps-of-november")) == first


async def test_periods_are_made_closed_and_reopened(tenant: Tenant) -> None:
    made = await tenant.post("/v1/periods", {"first_month": "2010-12-01", "months": 13}, 201)
    assert len(made["data"]) == 13
    period = made["data"][0]
    closed = await tenant.post(f"/v1/periods/{period['id']}/close", {"reason": "Filed"}, 200)
    assert closed["state"] == "soft_closed"
    late = await tenant.make("journal-entries", date="2010-12-31", lines=LINES)
    assert (late["date"], late["date_shifted"]) == ("2011-01-01", True)
    strict = {"date": "2010-12-31", "lines": LINES, "strict_date": True}
    assert (await tenant.post("/v1/journal-entries", strict, 409))["code"] == "period-closed"
    reopened = await tenant.post(f"/v1/periods/{period['id']}/reopen", {"reason": "A late bill"}, 200)
    assert reopened["state"] == "open"


async def test_the_chart_grows_and_its_accounts_are_deactivated(tenant: Tenant) -> None:
    account = await tenant.make("accounts", code="6990", name="Gifts", type="expense")
    assert (account["normal_side"], account["control"], account["roles"]) == ("debit", False, [])
    twin = await tenant.post("/v1/accounts", {"code": "6990", "name": "Twin", "type": "expense"}, 409)
    assert twin["code"] == "duplicate"
    reply = await tenant.client.patch(
        f"/v1/accounts/{account['id']}", json={"active": False}, headers={"If-Match": '"1"'}
    )
    assert (reply.status_code, reply.json()["active"]) == (200, False)
    bank = await account_id(tenant, "1010")
    reply = await tenant.client.patch(f"/v1/accounts/{bank}", json={"active": False}, headers={"If-Match": '"1"'})
    assert reply.json()["code"] == "account-in-use"
