"""A change says which version it is based on: on every route that changes a record in place."""

import uuid
from typing import Any

import httpx
import pytest

from erp.app import COMMANDS
from tests.api.whole.conftest import Newcomer, Tenant
from tests.api.whole.document import body_of, document, filled, parameters
from tests.api.whole.test_double_spending import STAGES
from tests.api.whole.trading import Trade, trade_in_everything

by_name = {command.name: command for command in COMMANDS}


@pytest.fixture
async def traded(newcomer: Newcomer) -> Trade:
    return await trade_in_everything(await newcomer())


async def change(tenant: Tenant, method: str, path: str, body: Any, match: str | None = None) -> httpx.Response:
    headers = {"Idempotency-Key": uuid.uuid4().hex, **({"If-Match": match} if match else {})}
    return await tenant.client.request(method, path, json=body, headers=headers)


async def test_every_change_in_place_needs_the_current_version(traded: Trade) -> None:
    api = await document(traded.tenant.client)
    changing = [
        (method.upper(), path)
        for path, item in api["paths"].items()
        for method in item
        if method in ("patch", "put") and set(parameters(path)) <= set(traded.ids)
    ]
    assert len(changing) >= 10
    wrong = []
    for method, path in changing:
        url, body = filled(path, traded.ids, ""), body_of(api, method, path)
        blind = await change(traded.tenant, method, url, body)
        stale = await change(traded.tenant, method, url, body, '"999"')
        if (blind.status_code, blind.json()["code"]) != (428, "precondition-required"):
            wrong.append(f"{method} {path} without If-Match: {blind.text}")
        current = (await traded.tenant.get(url))["version"]
        problem = stale.json()
        if (stale.status_code, problem["code"], problem.get("current_version")) != (412, "version-conflict", current):
            wrong.append(f"{method} {path} with an old one: {stale.text}")
    assert wrong == []


@pytest.mark.parametrize("name", sorted(name for name in STAGES if by_name[name].match == "accepted"))
async def test_a_step_that_is_asked_for_with_an_old_version_is_refused(tenant: Tenant, name: str) -> None:
    """Steps along a document's life may be asked for blindly, but what is said is looked at."""
    path, body = await STAGES[name](tenant)
    stale = await change(tenant, "POST", path, body, '"999"')
    assert (stale.status_code, stale.json()["code"]) == (412, "version-conflict")
    current = f'"{stale.json()["current_version"]}"'
    assert (await change(tenant, "POST", path, body, current)).is_success


def test_whatever_changes_in_place_insists_on_a_version() -> None:
    updates = [command for command in COMMANDS if command.name.endswith(".update")]
    assert len(updates) >= 10
    assert [command.name for command in updates if command.match != "required"] == []
