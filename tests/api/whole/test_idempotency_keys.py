"""Whose a key is and what it stands for, on every route that takes one."""

import uuid
from typing import Any

import httpx
import pytest

from erp.http.gate import Gate
from tests.api.whole.conftest import Newcomer, Tenant, client_of
from tests.api.whole.document import body_of, document, filled, for_operators
from tests.api.whole.trading import Trade, trade_in_everything

Api = dict[str, Any]


@pytest.fixture
async def traded(newcomer: Newcomer) -> Trade:
    return await trade_in_everything(await newcomer())


def taking_keys(api: Api) -> list[tuple[str, str, bool]]:
    """(method, path, whether the key is required)."""
    return [
        (method.upper(), path, one["required"])
        for path, item in api["paths"].items()
        for method, operation in item.items()
        for one in operation.get("parameters", [])
        if one["name"] == "Idempotency-Key" and not for_operators(operation)
    ]


async def send(traded: Trade, api: Api, method: str, path: str, key: str | None) -> httpx.Response:
    headers = {"If-Match": '"1"'} if method in ("PATCH", "PUT") else {}
    if key is not None:
        headers["Idempotency-Key"] = key
    if "bulk" in path or "imports" in path:
        lines = {"Content-Type": "application/x-ndjson"}
        url = path.replace("{resource}", "products") + ("?mode=atomic" if "bulk" in path else "")
        row = b'{"key":"k","data":{"code":"K","name":"K"}}'
        return await traded.tenant.client.request(method, url, content=row, headers={**headers, **lines})
    url = filled(path, {"name": f"stock:{uuid.uuid4()}:{uuid.uuid4()}", **traded.ids}, str(uuid.uuid4()))
    return await traded.tenant.client.request(method, url, json=body_of(api, method, path), headers=headers)


async def test_a_weak_key_is_refused_wherever_one_is_taken(traded: Trade) -> None:
    api = await document(traded.tenant.client)
    wrong = []
    for method, path, _ in taking_keys(api):
        for key in ("short", "x" * 15, "x" * 256, "with a blank inside it", ""):
            reply = await send(traded, api, method, path, key)
            if (reply.status_code, reply.json()["code"]) != (400, "invalid-idempotency-key"):
                wrong.append(f"{method} {path} {key!r}: {reply.text}")
    assert wrong == []


async def test_what_moves_money_or_stock_does_not_go_without_a_key(traded: Trade) -> None:
    api = await document(traded.tenant.client)
    wrong = []
    for method, path, required in taking_keys(api):
        if required:
            reply = await send(traded, api, method, path, None)
            if (reply.status_code, reply.json()["code"]) != (400, "idempotency-key-required"):
                wrong.append(f"{method} {path}: {reply.text}")
    assert wrong == []


def payment(traded: Trade, **changes: Any) -> Api:
    return {"direction": "in", "party_id": traded.ids["party_id"], "amount": "1.00", **changes}


async def test_a_key_stands_for_one_request(traded: Trade) -> None:
    key, path = uuid.uuid4().hex, "/v1/payments"
    first = await traded.tenant.post(path, payment(traded), 201, key)
    again = await traded.tenant.client.post(path, json=payment(traded), headers={"Idempotency-Key": key})
    assert (again.status_code, again.headers["idempotency-replayed"], again.json()) == (201, "true", first)
    for other_path, body in (
        (path, payment(traded, amount="1.01")),
        (path, payment(traded, reference="x")),
        (f"{path}/{first['id']}/reverse", {"reason": "wrong"}),
        ("/v1/units", {"code": "U", "name": "U"}),
    ):
        problem = await traded.tenant.post(other_path, body, 422, key)
        assert problem["code"] == "idempotency-key-reused"
    assert (await traded.tenant.get(f"{path}/{first['id']}"))["state"] == "posted"


async def test_a_key_is_its_tenants_and_its_principals_own(gate: Gate, traded: Trade, newcomer: Newcomer) -> None:
    key, body = uuid.uuid4().hex, {"code": "U", "name": "U"}
    mine = await traded.tenant.post("/v1/units", body, 201, key)
    stranger: Tenant = await newcomer()
    theirs = await stranger.client.post("/v1/units", json=body, headers={"Idempotency-Key": key})
    assert (theirs.status_code, "idempotency-replayed" in theirs.headers) == (201, False)
    assert theirs.json()["id"] != mine["id"]
    colleague = await traded.tenant.make("api-keys", name="colleague", role="owner")
    async with client_of(gate, colleague["secret"]) as client:
        own = await client.post("/v1/units", json={"code": "V", "name": "V"}, headers={"Idempotency-Key": key})
    assert (own.status_code, "idempotency-replayed" in own.headers) == (201, False)
