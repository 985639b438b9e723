"""Configuration through the API: validated, versioned, compared, rolled back; a tenant's own and the system's."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import httpx
import psycopg
import pytest

from tests.api.whole.conftest import Newcomer, Tenant
from tests.services import Services

TTL = "sales.reservation_ttl"
BASKET = "inventory.reservation_ttl"


async def change(client: httpx.AsyncClient, expect: int = 200, match: int | None = None, **settings: Any) -> Any:
    """`sales__reservation_ttl=60`; a tuple is (value, expected_version)."""
    wanted = []
    for name, given in settings.items():
        value, *expected = given if isinstance(given, tuple) else (given,)
        one = {"key": name.replace("__", "."), "value": value}
        wanted.append({**one, "expected_version": expected[0]} if expected else one)
    headers = {} if match is None else {"If-Match": f'"{match}"'}
    body = {"settings": wanted, "reason": "For a test"}
    reply = await client.post("/v1/configuration/changes", json=body, headers=headers)
    assert reply.status_code == expect, reply.text
    return reply.json()


async def shown(client: httpx.AsyncClient, key: str = TTL) -> Any:
    reply = await client.get(f"/v1/configuration/keys/{key}")
    assert reply.status_code == 200, reply.text
    return reply.json()


@pytest.fixture
async def system(operator: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """The operator; what a test set for the system is taken back after it."""
    yield operator
    reply = await operator.post("/v1/configuration/rollback", json={"to_version": 1, "reason": "The test is over"})
    assert reply.status_code == 200, reply.text


async def test_a_key_holds_its_default_until_the_tenant_sets_its_own(tenant: Tenant) -> None:
    before = await shown(tenant.client)
    assert (before["value"], before["source"], before["version"]) == (259_200, "default", 0)
    assert (before["type"], before["unit"], before["minimum"]) == ("integer", "seconds", 60)
    changed = await change(tenant.client, sales__reservation_ttl=3600)
    assert changed["changed"] == [{"key": TTL, "before": None, "after": 3600}]
    after = await shown(tenant.client)
    assert (after["value"], after["source"], after["version"]) == (3600, "tenant", 2)
    whole = await tenant.get("/v1/configuration")
    assert (whole["scope"], whole["version"]) == ("tenant", 2)
    assert {key["key"] for key in whole["keys"]} >= {TTL, BASKET}
    assert all(key["per_tenant"] for key in whole["keys"])


async def test_the_system_holds_for_tenants_without_a_value_of_their_own(
    system: httpx.AsyncClient, newcomer: Newcomer
) -> None:
    own, inheriting = await newcomer(), await newcomer()
    await change(own.client, sales__reservation_ttl=3600)
    await change(system, sales__reservation_ttl=7200)
    await until(inheriting.client, 7200)
    assert (await shown(inheriting.client))["source"] == "system"
    assert (await shown(own.client))["value"] == 3600
    await change(own.client, sales__reservation_ttl=None)
    assert (await shown(own.client))["value"] == 7200


async def until(client: httpx.AsyncClient, value: Any, key: str = TTL, within: float = 1.0) -> float:
    """Seconds until the key shows the value. What a second promises, a slow machine may take a little longer for."""
    started = time.monotonic()
    while (await shown(client, key))["value"] != value:
        assert time.monotonic() - started < within + 1.0, f"{key} is not {value} after {within} s"
        await asyncio.sleep(0.02)
    return time.monotonic() - started


async def test_the_setting_of_the_tenants_record_stands_between_its_own_value_and_the_systems(
    newcomer: Newcomer,
) -> None:
    tenant = await newcomer(settings={TTL: 600})
    assert (await shown(tenant.client))["source"] == "tenant_record"
    await change(tenant.client, sales__reservation_ttl=900)
    assert (await shown(tenant.client))["value"] == 900


async def confirmed_until(tenant: Tenant) -> float:
    """Seconds from now until the reservations of a new confirmed order end."""
    [group] = (await tenant.get("/v1/tax-groups", code="standard"))["data"]
    code = uuid.uuid4().hex[:8]
    product = await tenant.make("products", code=code, name="P", tax_group_id=group["id"])
    party = await tenant.make("parties", code=code, name="C", is_customer=True, is_supplier=True)
    line = {"product_id": product["id"], "quantity": "3", "unit_price": "4"}
    await tenant.make("direct-receipts", party_id=party["id"], lines=[line])
    order = await tenant.make("sales-orders", party_id=party["id"], lines=[line], confirm=True)
    [held] = (await tenant.get("/v1/reservations", source_id=order["id"]))["data"]
    ends, now = datetime.fromisoformat(held["expires_at"]), datetime.fromisoformat(held["created_at"])
    return (ends - now).total_seconds()


async def test_a_confirmed_orders_reservations_end_when_the_configuration_says(
    tenant: Tenant, system: httpx.AsyncClient
) -> None:
    await change(system, sales__reservation_ttl=7200)
    await until(tenant.client, 7200)
    assert await confirmed_until(tenant) == pytest.approx(7200, abs=5)
    await change(tenant.client, sales__reservation_ttl=120)
    started = time.monotonic()
    while (held := await confirmed_until(tenant)) != pytest.approx(120, abs=5):
        assert time.monotonic() - started < 2.0, held
    assert held == pytest.approx(120, abs=5)


@pytest.mark.parametrize(
    ("settings", "code", "pointer"),
    [
        ({"sales__reservation_ttl": 59}, "invalid-configuration-value", "/settings/1/value"),
        ({"sales__reservation_ttl": 31_622_401}, "invalid-configuration-value", "/settings/1/value"),
        ({"sales__reservation_ttl": "3600"}, "invalid-configuration-value", "/settings/1/value"),
        ({"sales__reservation_ttl": True}, "invalid-configuration-value", "/settings/1/value"),
        ({"sales__reservation_ttl": 3600.5}, "invalid-configuration-value", "/settings/1/value"),
        ({"sales__reservation_tll": 3600}, "unknown-configuration-key", "/settings/1/key"),
        ({"sales__reservation_ttl": [3600]}, "invalid-value", "/settings/1/value"),
    ],
)
async def test_one_bad_value_is_named_and_nothing_is_changed(
    tenant: Tenant, settings: dict[str, Any], code: str, pointer: str
) -> None:
    problem = await change(tenant.client, 422, inventory__reservation_ttl=3600, **settings)
    assert (problem["code"], problem["pointer"]) == (code, pointer)
    assert (await tenant.get("/v1/configuration"))["version"] == 1
    assert (await tenant.get("/v1/configuration/changes"))["data"] == []


async def test_a_tenant_cannot_set_what_holds_for_the_system(tenant: Tenant, system: httpx.AsyncClient) -> None:
    problem = await change(tenant.client, 403, limits__key_per_minute=1)
    assert problem["code"] == "system-configuration-key"
    assert (await tenant.client.get("/v1/configuration/keys/limits.key_per_minute")).status_code == 404
    assert (await shown(system, "limits.key_per_minute"))["source"] == "default"


async def test_a_key_named_twice_is_refused(tenant: Tenant) -> None:
    body = {"settings": [{"key": TTL, "value": 60}, {"key": TTL, "value": 70}], "reason": "For a test"}
    problem = await tenant.post("/v1/configuration/changes", body, 422)
    assert problem["pointer"] == "/settings/1/key"


async def test_a_reader_of_the_configuration_cannot_change_it(tenant: Tenant) -> None:
    key = await tenant.make("api-keys", name="Auditor", role="auditor")
    headers = {"Authorization": f"Bearer {key['secret']}"}
    assert (await tenant.client.get("/v1/configuration", headers=headers)).status_code == 200
    body = {"settings": [{"key": TTL, "value": 60}], "reason": "For a test"}
    reply = await tenant.client.post("/v1/configuration/changes", json=body, headers=headers)
    assert reply.status_code == 403


async def race(client: httpx.AsyncClient, body: dict[str, Any]) -> httpx.Response:
    """As a client would: again when it is told that nothing happened and that it may help."""
    while (reply := await client.post("/v1/configuration/changes", json=body)).status_code == 503:
        assert reply.json()["retryable"]
    return reply


async def test_of_twenty_who_compare_and_set_at_once_one_wins_each_round(tenant: Tenant) -> None:
    """No lost update: the counter each of them raises ends as high as there were winners."""
    value = version = 0
    for _ in range(3):
        body = {"settings": [{"key": TTL, "value": 1000 + value + 1, "expected_version": version}], "reason": "Race"}
        replies = await asyncio.gather(*(race(tenant.client, body | {"reason": f"Racer {n}"}) for n in range(20)))
        won = [reply for reply in replies if reply.status_code == 200 and reply.json()["changed"]]
        lost = [reply for reply in replies if reply.status_code == 412]
        assert (len(won), len(lost)) == (1, 19), [reply.text for reply in replies]
        assert lost[0].json()["pointer"] == "/settings/0/expected_version"
        value, version = value + 1, won[0].json()["version"]
    assert (await shown(tenant.client))["value"] == 1003
    assert len((await tenant.get("/v1/configuration/changes"))["data"]) == 3


async def test_changes_of_many_scopes_at_once_are_numbered_without_a_gap(
    newcomer: Newcomer, services: Services
) -> None:
    """Each scope's versions, and the revisions of all of them, in the order of their commits."""
    tenants = [await newcomer() for _ in range(4)]
    answers = await asyncio.gather(
        *(change(one.client, sales__reservation_ttl=100 + n) for one in tenants for n in range(5))
    )
    revisions = sorted(answer["revision"] for answer in answers)
    assert revisions == list(range(revisions[0], revisions[0] + 20))
    for one in tenants:
        history = (await one.get("/v1/configuration/changes"))["data"]
        assert [row["version"] for row in history] == [6, 5, 4, 3, 2]
        assert [row["before"] for row in history[:-1]] == [row["after"] for row in history[1:]]


async def test_if_match_names_the_version_of_the_whole_scope(tenant: Tenant) -> None:
    await change(tenant.client, sales__reservation_ttl=100)
    await change(tenant.client, 412, match=1, inventory__reservation_ttl=100)
    await change(tenant.client, match=2, inventory__reservation_ttl=100)
    reply = await tenant.client.get("/v1/configuration")
    assert reply.headers["ETag"] == '"3"'


async def test_setting_what_is_set_already_is_no_change(tenant: Tenant) -> None:
    await change(tenant.client, sales__reservation_ttl=100)
    again = await change(tenant.client, sales__reservation_ttl=100)
    assert (again["version"], again["revision"], again["changed"]) == (2, None, [])


async def test_a_repeated_request_changes_once(tenant: Tenant) -> None:
    body = {"settings": [{"key": TTL, "value": 100}], "reason": "For a test"}
    key = uuid.uuid4().hex
    first = await tenant.post("/v1/configuration/changes", body, key=key)
    await change(tenant.client, sales__reservation_ttl=200)
    assert await tenant.post("/v1/configuration/changes", body, key=key) == first
    assert (await shown(tenant.client))["value"] == 200


async def test_history_diff_and_rollback(tenant: Tenant) -> None:
    await change(tenant.client, sales__reservation_ttl=100, inventory__reservation_ttl=200)
    await change(tenant.client, sales__reservation_ttl=300)
    await change(tenant.client, inventory__reservation_ttl=None)
    diff = await tenant.get("/v1/configuration/diff", from_version="2", to_version="4")
    assert diff["changed"] == [
        {"key": BASKET, "before": 200, "after": None},
        {"key": TTL, "before": 100, "after": 300},
    ]
    back = await tenant.post("/v1/configuration/rollback", {"to_version": 2, "reason": "It was better"})
    assert back["version"] == 5
    diff = await tenant.get("/v1/configuration/diff", from_version="2", to_version="5")
    assert diff["changed"] == []
    problem = await tenant.post("/v1/configuration/rollback", {"to_version": 9, "reason": "Too far"}, 422)
    assert problem["code"] == "unknown-configuration-version"
    history = (await tenant.get("/v1/configuration/changes", key=TTL))["data"]
    assert [(row["version"], row["action"], row["after"]) for row in history] == [
        (5, "rolled_back", 100), (3, "changed", 300), (2, "changed", 100),
    ]  # fmt: skip
    assert {row["reason"] for row in history} == {"It was better", "For a test"}


async def test_an_export_restores_the_same_configuration_elsewhere(newcomer: Newcomer) -> None:
    source, target = await newcomer(), await newcomer()
    await change(source.client, sales__reservation_ttl=100, inventory__reservation_ttl=200)
    await change(target.client, sales__reservation_ttl=500)
    backup = await source.get("/v1/configuration/export")
    assert backup["values"] == {TTL: 100, BASKET: 200}
    await change(source.client, sales__reservation_ttl=999, inventory__reservation_ttl=None)
    for one in (source, target):
        body = {"values": backup["values"], "reason": "Restored", "mode": "replace"}
        await one.post("/v1/configuration/import", body)
        assert (await one.get("/v1/configuration/export"))["values"] == backup["values"]


async def test_an_import_takes_back_what_it_does_not_name_only_when_it_replaces(tenant: Tenant) -> None:
    await change(tenant.client, sales__reservation_ttl=100)
    await tenant.post("/v1/configuration/import", {"values": {BASKET: 200}, "reason": "More"})
    assert (await tenant.get("/v1/configuration/export"))["values"] == {TTL: 100, BASKET: 200}
    body = {"values": {BASKET: 200}, "reason": "Only that", "mode": "replace"}
    await tenant.post("/v1/configuration/import", body)
    assert (await tenant.get("/v1/configuration/export"))["values"] == {BASKET: 200}
    problem = await tenant.post("/v1/configuration/import", {"values": {TTL: 1}, "reason": "Bad"}, 422)
    assert problem["pointer"] == f"/values/{TTL}"


async def test_who_changed_what_and_why_is_in_audit_and_events(tenant: Tenant, services: Services) -> None:
    await change(tenant.client, sales__reservation_ttl=100)
    [entry] = (await tenant.get("/v1/audit-entries", action="configuration.changed"))["data"]
    assert entry["before"] == {TTL: None}
    assert entry["after"] == {TTL: 100, "reason": "For a test"}
    with psycopg.connect(services.superuser_url) as connection:
        rows = connection.execute(
            "SELECT version, data->'values' FROM events WHERE tenant_id = %s AND type = 'configuration.changed'",
            (tenant.id,),
        ).fetchall()
    assert rows == [(1, {TTL: 100})]


async def test_the_operators_changes_have_an_audit_trail_of_their_own(
    system: httpx.AsyncClient, tenant: Tenant
) -> None:
    await change(system, sales__reservation_ttl=7200)
    [entry, *_] = (await system.get("/v1/audit-entries")).json()["data"]
    assert (entry["principal_kind"], entry["after"][TTL]) == ("operator", 7200)
    assert (await tenant.get("/v1/audit-entries", action="configuration.changed"))["data"] == []
    assert (await tenant.get("/v1/configuration/changes"))["data"] == []


async def test_history_adds_up_to_what_is_set_now(services: Services, tenant: Tenant) -> None:
    """The entries are the fold of the changes, in every scope."""
    await change(tenant.client, sales__reservation_ttl=100)
    await change(tenant.client, sales__reservation_ttl=None, inventory__reservation_ttl=100)
    with psycopg.connect(services.superuser_url) as connection:
        wrong = connection.execute(
            "WITH folded AS (SELECT DISTINCT ON (tenant_id, key) tenant_id, key, after, version"
            " FROM configuration_changes ORDER BY tenant_id, key, version DESC)"
            " SELECT * FROM folded FULL JOIN configuration_entries e USING (tenant_id, key)"
            " WHERE folded.after IS DISTINCT FROM e.value OR folded.version IS DISTINCT FROM e.version"
        ).fetchall()
    assert wrong == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/configuration/diff", 422),
        ("/v1/configuration/diff?from_version=a&to_version=1", 422),
        ("/v1/configuration/diff?from_version=0&to_version=1", 422),
        ("/v1/configuration/diff?from_version=1&to_version=99999999999", 422),
        ("/v1/configuration/diff?from_version=1&to_version=2", 422),
        ("/v1/configuration/diff?from_version=1&to_version=1", 200),
        ("/v1/configuration/keys/no.such_key", 404),
        ("/v1/configuration/keys/%F0%9F%92%A9", 404),
        ("/v1/configuration?scope=system", 422),
        ("/v1/configuration/changes?sort=version&limit=1", 200),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused_as_everywhere(
    tenant: Tenant, path: str, status: int
) -> None:
    reply = await tenant.client.get(path)
    assert reply.status_code == status, reply.text


async def test_numbers_of_any_size_are_refused_and_break_nothing(system: httpx.AsyncClient) -> None:
    for value in ("1e308", "1" + "0" * 400, "-0", "1e-400", "123456789012345678901234567890"):
        body = '{"reason": "A number", "settings": [{"key": "cache.ttl.product", "value": ' + value + "}]}"
        reply = await system.post(
            "/v1/configuration/changes", content=body, headers={"Content-Type": "application/json"}
        )
        assert reply.status_code in (200, 422), reply.text
