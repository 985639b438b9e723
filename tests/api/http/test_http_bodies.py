"""Bodies on a real route: what is not exactly right is refused, with the right status, before any work."""

import json
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from tests.api.http.conftest import Rig, Tenant
from tests.api.http.raw import call
from tests.services import Services

GOOD = {"name": "A note", "amount": "12.50"}


def key() -> str:
    return str(uuid4())


async def post(api: httpx.AsyncClient, content: bytes | Any, **headers: str) -> httpx.Response:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return await api.post(
        "/v1/notes", content=raw, headers={"content-type": "application/json", "idempotency-key": key(), **headers}
    )


def assert_problem(answer: httpx.Response, status: int, code: str, pointer: str | None = None) -> None:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), problem
    assert problem["type"] == f"/problems/{code}"
    assert problem["instance"] == "/v1/notes"
    assert problem["correlation_id"] == answer.headers["x-correlation-id"]
    assert problem.get("pointer") == pointer


async def test_a_note_is_created(api: httpx.AsyncClient) -> None:
    answer = await post(api, {**GOOD, "name": "Größe"})
    assert answer.status_code == 201
    assert answer.json()["name"] == "Größe"
    assert answer.headers["location"] == f"/v1/notes/{answer.json()['id']}"
    assert answer.headers["etag"] == '"1"'


@pytest.mark.parametrize("field", ["tenant_id", "id", "state", "version", "created_at"])
async def test_nobody_sets_what_is_not_theirs(api: httpx.AsyncClient, field: str) -> None:
    assert_problem(await post(api, {**GOOD, field: str(uuid4())}), 422, "unknown-field", f"/{field}")


async def test_the_tenant_follows_from_the_credential_alone(
    rig: Rig, api: httpx.AsyncClient, tenant: Tenant, services: Services
) -> None:
    other = str(uuid4())
    refused = await api.post(f"/v1/notes?tenant_id={other}", json=GOOD, headers={"idempotency-key": key()})
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown-field")
    made = await post(api, GOOD, **{"x-tenant-id": other, "tenant": other})
    with psycopg.connect(services.superuser_url) as connection:
        row = connection.execute("SELECT tenant_id FROM test_notes WHERE id = %s", (made.json()["id"],)).fetchone()
    assert row == (tenant.id,)


async def test_a_number_is_no_amount(api: httpx.AsyncClient) -> None:
    assert_problem(await post(api, {**GOOD, "amount": 12.5}), 422, "amount-must-be-string", "/amount")


@pytest.mark.parametrize(
    "amount", ["NaN", "Infinity", "1e400", "1E+999999999", "-0", "1_000", "１２", "0", "-1", "12.5555"]
)
async def test_hostile_amounts_are_refused(api: httpx.AsyncClient, amount: str) -> None:
    assert_problem(await post(api, {**GOOD, "amount": amount}), 422, "invalid-amount", "/amount")


async def test_an_amount_has_no_more_decimals_than_its_currency(api: httpx.AsyncClient) -> None:
    assert_problem(await post(api, {**GOOD, "currency": "JPY"}), 422, "invalid-amount", "/amount")


async def test_a_duplicate_key_is_refused(api: httpx.AsyncClient) -> None:
    assert_problem(await post(api, b'{"name":"A","amount":"1","amount":"9"}'), 400, "duplicate-key", "/amount")


async def test_deep_nesting_is_refused(api: httpx.AsyncClient) -> None:
    assert_problem(await post(api, b'{"a":' * 100_000), 400, "json-too-deep")
    assert_problem(await post(api, b"[" * 33 + b"]" * 33), 400, "json-too-deep")


@pytest.mark.parametrize("raw", [b"{", b'{"name":"\xff"}', b"\xef\xbb\xbf{}", rb'{"name":"\ud800"}', b"NaN"])
async def test_what_is_not_json_is_refused(api: httpx.AsyncClient, raw: bytes) -> None:
    assert_problem(await post(api, raw), 400, "invalid-json")


async def test_a_missing_body_is_refused(api: httpx.AsyncClient) -> None:
    assert_problem(await post(api, b""), 400, "invalid-json")


@pytest.mark.parametrize("text", ["a\x00b", "a\u202eb", "a\u200bb", "\x85", "a\x07"])
async def test_invisible_characters_are_refused(api: httpx.AsyncClient, text: str) -> None:
    assert_problem(await post(api, {**GOOD, "name": text}), 422, "invalid-text", "/name")


async def test_equal_looking_names_are_equal(api: httpx.AsyncClient) -> None:
    assert (await post(api, {**GOOD, "name": "Caf\u00e9"})).status_code == 201
    assert_problem(await post(api, {**GOOD, "name": "Cafe\u0301"}), 409, "test-note-name-taken", "/name")


@pytest.mark.parametrize(
    "media", ["text/plain", "application/json; charset=utf-16", "application/x-www-form-urlencoded", ""]
)
async def test_another_media_type_is_refused(api: httpx.AsyncClient, media: str) -> None:
    assert_problem(await post(api, GOOD, **{"content-type": media}), 415, "unsupported-media-type")


async def test_a_body_without_a_media_type_is_refused(rig: Rig, tenant: Tenant) -> None:
    answer = await call(
        rig.gate, "POST", "/v1/notes", token=tenant.owner, chunks=[json.dumps(GOOD).encode()],
        headers=[(b"idempotency-key", key().encode())],
    )  # fmt: skip
    assert (answer.status, answer.code) == (415, "unsupported-media-type")


async def test_a_compressed_body_is_refused(api: httpx.AsyncClient) -> None:
    assert_problem(await post(api, b"\x1f\x8b\x08", **{"content-encoding": "gzip"}), 415, "unsupported-media-type")


async def test_a_body_over_one_mebibyte_is_refused(api: httpx.AsyncClient) -> None:
    assert_problem(await post(api, b'"' + b"x" * 1024 * 1024 + b'"'), 413, "payload-too-large")


@pytest.mark.parametrize("announced", [None, b"10"])
async def test_a_body_that_hides_its_length_is_refused_while_it_comes(
    rig: Rig, tenant: Tenant, announced: bytes | None
) -> None:
    headers = [(b"content-type", b"application/json"), (b"idempotency-key", key().encode())]
    if announced:
        headers.append((b"content-length", announced))
    chunks = [b"x" * 65_536 for _ in range(40)]
    answer = await call(rig.gate, "POST", "/v1/notes", token=tenant.owner, headers=headers, chunks=chunks)
    assert (answer.status, answer.code) == (413, "payload-too-large")


async def test_a_body_in_pieces_is_one_body(rig: Rig, tenant: Tenant) -> None:
    raw = json.dumps(GOOD).encode()
    answer = await call(
        rig.gate, "POST", "/v1/notes", token=tenant.owner, chunks=[raw[:7], b"", raw[7:20], raw[20:]],
        headers=[(b"content-type", b"application/json"), (b"idempotency-key", key().encode())],
    )  # fmt: skip
    assert answer.status == 201


async def test_a_client_that_leaves_changes_nothing(rig: Rig, tenant: Tenant, api: httpx.AsyncClient) -> None:
    await call(
        rig.gate, "POST", "/v1/notes", token=tenant.owner, chunks=[b'{"name":"A'], leaves=True,
        headers=[(b"content-type", b"application/json"), (b"idempotency-key", key().encode())],
    )  # fmt: skip
    assert (await api.get("/v1/notes")).json()["data"] == []


async def test_a_command_without_input_takes_no_fields(api: httpx.AsyncClient) -> None:
    made = await post(api, GOOD)
    path = f"{made.headers['location']}/touch"
    assert (await api.post(path)).status_code == 200
    assert (await api.post(path, json={})).status_code == 200
    refused = await api.post(path, json={"state": "closed"})
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown-field")


async def test_a_whole_number_is_taken_literally(api: httpx.AsyncClient) -> None:
    for copies in ("1", 1.0, True, 2**63, 0, -1):
        assert_problem(await post(api, {**GOOD, "copies": copies}), 422, "invalid-value", "/copies")


async def test_a_date_is_a_day_of_the_calendar(api: httpx.AsyncClient) -> None:
    for day in ("0000-01-01", "10000-01-01", "2024-02-30", "2024-05-01T00:00:00Z"):
        assert_problem(await post(api, {**GOOD, "noted_on": day}), 422, "invalid-value", "/noted_on")
