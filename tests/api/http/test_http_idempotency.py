"""The same key and request have one effect and one answer."""

import asyncio
import json
from uuid import uuid4

import httpx
import psycopg
import pytest

from db.counting import RoundTrips, round_trips
from tests.api.http.conftest import Rig, Tenant, add_key, add_tenant, client_of
from tests.services import Services

GOOD = {"name": "Once", "amount": "1.00"}


async def send(api: httpx.AsyncClient, key: str, body: object = None, path: str = "/v1/notes") -> httpx.Response:
    return await api.post(path, json=GOOD if body is None else body, headers={"idempotency-key": key})


async def test_a_repeat_gets_the_first_answer_again(api: httpx.AsyncClient) -> None:
    key = str(uuid4())
    first, second = await send(api, key), await send(api, key)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert (second.headers["etag"], second.headers["location"]) == (first.headers["etag"], first.headers["location"])
    assert len((await api.get("/v1/notes")).json()["data"]) == 1


async def test_who_lost_the_first_answer_reads_the_write_all_the_same(
    rig: Rig, api: httpx.AsyncClient, tenant: Tenant
) -> None:
    """The repeat's token is enough for anybody: it is no older than the write, however far replicas are behind."""
    async with client_of(rig.gate, tenant.reader) as reader:
        for number in range(15):
            key = str(uuid4())
            body = {"name": f"N{number}", "amount": "1"}
            first, second = await send(api, key, body), await send(api, key, body)
            assert second.headers["idempotency-replayed"] == "true"
            token = second.headers["consistency-token"]
            written, replayed = (rig.services.tokens.decode(a.headers["consistency-token"]) for a in (first, second))
            assert replayed >= written
            seen = await reader.get(first.headers["location"], headers={"consistency-token": token})
            assert seen.status_code == 200


async def test_a_replayed_refusal_has_a_token_too(api: httpx.AsyncClient) -> None:
    await send(api, str(uuid4()))
    key = str(uuid4())
    for _ in range(2):
        assert (await send(api, key)).headers["consistency-token"]


async def test_a_replay_is_two_round_trips(api: httpx.AsyncClient) -> None:
    """The answer is found, and a standby has it."""
    touch = f"{(await send(api, str(uuid4()))).headers['location']}/touch"
    key = str(uuid4())
    await send(api, key, {}, touch)
    counter = RoundTrips()
    token = round_trips.set(counter)
    try:
        replayed = await send(api, key, {}, touch)
    finally:
        round_trips.reset(token)
    assert (replayed.headers["idempotency-replayed"], bool(replayed.headers["consistency-token"])) == ("true", True)
    assert (counter.postgres, counter.redis) == (2, 1)


async def test_the_key_does_not_serve_another_request(api: httpx.AsyncClient) -> None:
    key = str(uuid4())
    note = (await send(api, key)).json()
    other_body = await send(api, key, {**GOOD, "amount": "2.00"})
    other_path = await send(api, key, {}, f"/v1/notes/{note['id']}/touch")
    for answer in (other_body, other_path):
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency-key-reused")


async def test_a_business_refusal_is_an_answer_too(api: httpx.AsyncClient) -> None:
    await send(api, str(uuid4()))
    key = str(uuid4())
    first, second = await send(api, key), await send(api, key)
    assert (first.status_code, second.status_code) == (409, 409)
    assert second.headers["idempotency-replayed"] == "true"
    assert second.headers["content-type"] == "application/problem+json"
    assert first.json() == second.json()


async def test_a_request_refused_before_it_began_leaves_its_key_free(api: httpx.AsyncClient) -> None:
    key = str(uuid4())
    assert (await send(api, key, {**GOOD, "amount": 1})).status_code == 422
    assert (await send(api, key)).status_code == 201


async def test_a_defect_leaves_its_key_free(api: httpx.AsyncClient) -> None:
    note = (await send(api, str(uuid4()))).json()["id"]
    key = str(uuid4())
    for _ in range(2):
        broken = await send(api, key, {}, f"/v1/notes/{note}/break")
        assert (broken.status_code, broken.json()["code"]) == (500, "internal-error")
        assert "idempotency-replayed" not in broken.headers


async def test_keys_are_a_principals_own(rig: Rig, services: Services, tenant: Tenant) -> None:
    key = str(uuid4())
    with psycopg.connect(services.superuser_url, autocommit=True) as connection:
        colleague = add_key(connection, tenant.id, "owner")
    neighbour = add_tenant(services)
    for token, name in ((tenant.owner, "A"), (colleague, "B"), (neighbour.owner, "A")):
        async with client_of(rig.gate, token) as api:
            answer = await send(api, key, {"name": name, "amount": "1"})
            assert answer.status_code == 201
            assert "idempotency-replayed" not in answer.headers


async def test_a_replay_needs_the_permission_again(rig: Rig, services: Services, tenant: Tenant) -> None:
    key = str(uuid4())
    async with client_of(rig.gate, tenant.owner) as api:
        assert (await send(api, key)).status_code == 201
        with psycopg.connect(services.superuser_url, autocommit=True) as connection:
            connection.execute("UPDATE api_keys SET role = 'auditor' WHERE tenant_id = %s", (tenant.id,))
        assert await rig.services.gatekeeper.bump_credentials(tenant.id)
        assert (await send(api, key)).status_code == 403


async def test_writes_that_need_a_key_say_so(api: httpx.AsyncClient) -> None:
    answer = await api.post("/v1/notes", json=GOOD)
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency-key-required")


@pytest.mark.parametrize(
    "key", ["short", "x" * 15, "x" * 256, "has a blank in the middle", "", "tab\tinside-the-key"]
)
async def test_a_weak_or_malformed_key_is_refused(api: httpx.AsyncClient, key: str) -> None:
    answer = await send(api, key)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-idempotency-key")


@pytest.mark.parametrize("key", ["x" * 16, "!" * 255, "~" * 16])
async def test_any_16_to_255_visible_characters_are_a_key(api: httpx.AsyncClient, key: str) -> None:
    assert (await send(api, key)).status_code == 201


async def test_fifty_equal_requests_at_once_have_one_effect(api: httpx.AsyncClient) -> None:
    key = str(uuid4())
    answers = await asyncio.gather(*(send(api, key) for _ in range(50)))
    kinds = {
        (answer.status_code, answer.json().get("code"), answer.headers.get("idempotency-replayed"))
        for answer in answers
    }
    assert kinds <= {
        (201, None, None),
        (201, None, "true"),
        (409, "idempotency-in-flight", None),
        (503, "overloaded", None),
    }
    assert sum(a.status_code == 201 and "idempotency-replayed" not in a.headers for a in answers) == 1
    assert len((await api.get("/v1/notes")).json()["data"]) == 1
    assert all("retry-after" in a.headers for a in answers if a.status_code in (409, 503))


async def test_fifty_different_requests_for_one_name_have_one_winner(api: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(send(api, str(uuid4())) for _ in range(50)))
    codes = sorted(answer.json().get("code", "created") for answer in answers if answer.status_code != 503)
    assert codes.count("created") == 1
    assert set(codes) <= {"created", "test-note-name-taken"}


async def test_the_fingerprint_ignores_how_the_media_type_is_spelled(api: httpx.AsyncClient) -> None:
    key, raw = str(uuid4()), json.dumps(GOOD).encode()
    for media in ("application/json", "application/json; charset=UTF-8"):
        answer = await api.post("/v1/notes", content=raw, headers={"idempotency-key": key, "content-type": media})
        assert answer.status_code == 201
