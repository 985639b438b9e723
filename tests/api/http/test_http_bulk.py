"""The bulk stream: each row by itself, resumable, and never more in memory than agreed."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from erp.http import stream
from tests.api.http.conftest import Rig, Tenant, client_of
from tests.api.http.raw import call
from tests.services import Services

NDJSON = (b"content-type", b"application/x-ndjson")


def row(key: str, name: str | None = None, **data: Any) -> bytes:
    return json.dumps({"key": key, "data": {"name": name or f"Note {key}", "amount": "1", **data}}).encode() + b"\n"


async def bulk(api: httpx.AsyncClient, content: bytes, query: str = "", **headers: str) -> httpx.Response:
    return await api.post(
        f"/v1/bulk/notes{query}", content=content, headers={"content-type": "application/x-ndjson", **headers}
    )


def answers(response: httpx.Response) -> dict[Any, Any]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-ndjson"
    found = [json.loads(line) for line in response.text.splitlines()]
    return {answer["key"] if answer["key"] is not None else answer["line"]: answer for answer in found}


async def count(api: httpx.AsyncClient) -> int:
    return int((await api.get("/v1/notes?count=exact&limit=1")).json()["count"])


async def test_every_row_is_answered_with_its_record(api: httpx.AsyncClient) -> None:
    response = await bulk(api, b"".join(row(f"k{n}") for n in range(30)))
    found = answers(response)
    assert {a["status"] for a in found.values()} == {201}
    assert sorted(found) == sorted(f"k{n}" for n in range(30))
    assert {a["line"] for a in found.values()} == set(range(1, 31))
    note = (await api.get(f"/v1/notes/{found['k7']['id']}")).json()
    assert note["name"] == "Note k7"
    assert response.headers["x-ratelimit-limit"]


async def test_a_stream_sent_again_books_nothing_again(api: httpx.AsyncClient) -> None:
    first = answers(await bulk(api, b"".join(row(f"k{n}") for n in range(10))))
    again = answers(await bulk(api, b"".join(row(f"k{n}") for n in range(15))))
    assert [again[f"k{n}"]["replayed"] for n in range(15)] == [True] * 10 + [False] * 5
    assert all(again[key]["id"] == first[key]["id"] for key in first)
    assert await count(api) == 15


async def test_equal_data_is_equal_however_it_is_written(api: httpx.AsyncClient) -> None:
    await bulk(api, b'{"key":"k1","data":{"name":"A","amount":"1"}}')
    again = answers(await bulk(api, b'{ "data": {"amount": "1", "name": "A"}, "key": "k1" }\r\n'))
    assert again["k1"]["replayed"]


async def test_a_key_used_for_other_data_is_refused(api: httpx.AsyncClient) -> None:
    await bulk(api, row("k1", "A"))
    found = answers(await bulk(api, row("k1", "B")))
    assert (found["k1"]["status"], found["k1"]["problem"]["code"]) == (422, "idempotency-key-reused")


async def test_a_refused_row_hurts_no_other(api: httpx.AsyncClient) -> None:
    content = b"".join(
        [
            row("good1"), b"{not json\n", row("number", amount=1), row("good2"), b'{"key":"nodata"}\n', b"\n",
            row("unknown", tenant_id="x"), row("same", "Note good1"), row("bad key"), row("good3"),
        ]
    )  # fmt: skip
    found = answers(await bulk(api, row("good1")))
    found = answers(await bulk(api, content))
    codes = {key: answer.get("problem", {}).get("code") for key, answer in found.items()}
    assert codes == {
        "good1": None, "good2": None, "good3": None, 2: "invalid-json", "number": "amount-must-be-string",
        5: "missing-field", "unknown": "unknown-field", "same": "test-note-name-taken", 9: "invalid-value",
    }  # fmt: skip
    assert found["number"]["problem"]["pointer"] == "/data/amount"
    assert found["same"]["problem"]["pointer"] == "/data/name"
    assert found["number"]["line"] == 3
    assert await count(api) == 3


async def test_a_refusal_is_remembered_like_a_booking(api: httpx.AsyncClient) -> None:
    await bulk(api, row("k1", "Taken"))
    first = answers(await bulk(api, row("k2", "Taken")))
    again = answers(await bulk(api, row("k2", "Taken")))
    assert not first["k2"]["replayed"]
    assert again["k2"]["replayed"]
    for one in (first, again):
        problem = one["k2"]["problem"]
        assert (problem["code"], problem["pointer"]) == ("test-note-name-taken", "/data/name")


async def test_two_keys_of_a_tenant_are_two_streams(rig: Rig, api: httpx.AsyncClient, tenant: Tenant) -> None:
    await bulk(api, row("k1"))
    async with client_of(rig.gate, tenant.reader) as reader:
        assert (await bulk(reader, row("k1"))).status_code == 403


@pytest.mark.parametrize("resource", ["nothing", "note", "notes.create", "batch"])
async def test_only_known_resources_take_a_stream(api: httpx.AsyncClient, resource: str) -> None:
    answer = await api.post(
        f"/v1/bulk/{resource}", content=row("k"), headers={"content-type": "application/x-ndjson"}
    )
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


async def test_a_stream_is_announced_as_one(api: httpx.AsyncClient) -> None:
    for media in ("application/json", "text/plain", "application/x-ndjson+x"):
        answer = await bulk(api, row("k"), **{"content-type": media})
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported-media-type")
    assert (await bulk(api, row("k"), **{"content-encoding": "gzip"})).status_code == 415
    assert (await bulk(api, row("k"), "?mode=sometimes")).status_code == 422


async def test_a_row_has_a_bounded_size_and_the_stream_has_none(api: httpx.AsyncClient) -> None:
    big = row("big", text="x" * (1024 * 1024))
    filler = b"".join(row(f"k{n}", text="y" * 3900) for n in range(400))
    found = answers(await bulk(api, big + filler))
    assert found[1]["problem"]["code"] == "payload-too-large"
    assert sum(a["status"] == 201 for a in found.values()) == 400


async def test_rows_arrive_in_any_cuts(rig: Rig, tenant: Tenant, api: httpx.AsyncClient) -> None:
    content = b"".join(row(f"k{n}", f"Größe {n}") for n in range(20))
    chunks = [content[at : at + 13] for at in range(0, len(content), 13)]
    answer = await call(rig.gate, "POST", "/v1/bulk/notes", token=tenant.owner, headers=[NDJSON], chunks=chunks)
    assert answer.status == 200
    assert answer.body.count(b'"status":201') == 20
    assert await count(api) == 20


async def test_answers_come_while_rows_are_still_to_come(rig: Rig, tenant: Tenant) -> None:
    """Proof that nothing waits for the end of the body: the next row is sent only after an answer."""
    answered, more = asyncio.Event(), [row(f"k{n}") for n in range(5)]

    async def receive() -> Any:
        if len(more) < 5:
            await asyncio.wait_for(answered.wait(), 5)
            answered.clear()
        body = more.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(more)}

    bodies: list[bytes] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body" and message["body"]:
            bodies.append(message["body"])
            answered.set()

    scope = {
        "type": "http", "method": "POST", "path": "/v1/bulk/notes", "query_string": b"", "root_path": "",
        "headers": [NDJSON, (b"authorization", b"Bearer " + tenant.owner.encode())], "client": ("192.0.2.1", 1),
    }  # fmt: skip
    await rig.gate(scope, receive, send)
    assert b"".join(bodies).count(b'"status":201') == 5
    assert len(bodies) >= 4


async def test_a_client_that_leaves_ends_the_stream_after_the_rows_it_sent(
    rig: Rig, tenant: Tenant, api: httpx.AsyncClient
) -> None:
    chunks = [row("k1"), row("k2"), b'{"key":"k3","data":{"name":"broken off']
    await call(rig.gate, "POST", "/v1/bulk/notes", token=tenant.owner, headers=[NDJSON], chunks=chunks, leaves=True)
    assert await count(api) == 2
    resumed = answers(await bulk(api, row("k1") + row("k2") + row("k3")))
    assert [resumed[key]["replayed"] for key in ("k1", "k2", "k3")] == [True, True, False]


async def test_a_reader_that_does_not_read_stops_the_stream_from_growing(
    rig: Rig, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MAX_UNREAD", 2_000)
    taken, reading = 0, asyncio.Event()

    async def receive() -> Any:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": row(f"k{taken}"), "more_body": taken < 300}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            await reading.wait()

    scope = {
        "type": "http", "method": "POST", "path": "/v1/bulk/notes", "query_string": b"", "root_path": "",
        "headers": [NDJSON, (b"authorization", b"Bearer " + tenant.owner.encode())], "client": ("192.0.2.1", 1),
    }  # fmt: skip
    running = asyncio.create_task(rig.gate(scope, receive, send))
    before = -1
    async with asyncio.timeout(20):
        while taken != before or taken == 0:
            before = taken
            await asyncio.sleep(0.3)
    assert 0 < taken < 60
    reading.set()
    await asyncio.wait_for(running, 30)
    assert taken == 300


async def test_a_stream_gives_up_when_our_side_keeps_failing(
    rig: Rig, tenant: Tenant, api: httpx.AsyncClient, services: Services
) -> None:
    with psycopg.connect(services.owner_url, autocommit=True) as connection:
        connection.execute("REVOKE INSERT ON test_notes FROM erp_app")
        try:
            response = await bulk(api, b"".join(row(f"k{n}") for n in range(500)))
        finally:
            connection.execute("GRANT INSERT ON test_notes TO erp_app")
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert len(lines) < 30
    assert (lines[-1]["key"], lines[-1]["status"], lines[-1]["problem"]["code"]) == (None, 503, "overloaded")
    assert {line["problem"]["code"] for line in lines[:-1]} == {"internal-error"}
    found = answers(await bulk(api, b"".join(row(f"k{n}") for n in range(20))))
    assert {a["status"] for a in found.values()} == {201}


# -- all or none -----------------------------------------------------------------------------------


async def test_an_atomic_stream_books_all_rows(api: httpx.AsyncClient) -> None:
    key = str(uuid4())
    content = row("a") + row("b") + row("c")
    first = await bulk(api, content, "?mode=atomic", **{"idempotency-key": key})
    assert [answers(first)[name]["status"] for name in "abc"] == [201] * 3
    again = await bulk(api, content, "?mode=atomic", **{"idempotency-key": key})
    assert again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"
    assert await count(api) == 3


async def test_an_atomic_stream_books_none_when_one_is_refused(api: httpx.AsyncClient) -> None:
    for content, code, line in (
        (row("a") + row("b", "Note a"), "test-note-name-taken", 2),
        (row("a") + b"\n" + row("b", amount=1), "amount-must-be-string", 3),
        (row("a") + b"{", "invalid-json", 2),
    ):
        answer = await bulk(api, content, "?mode=atomic", **{"idempotency-key": str(uuid4())})
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.json()["code"], answer.json()["line"]) == (code, line)
    assert await count(api) == 0


async def test_an_atomic_stream_needs_a_key_and_has_an_end(api: httpx.AsyncClient) -> None:
    answer = await bulk(api, row("a"), "?mode=atomic")
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency-key-required")
    content = b"".join(row(f"k{n}") for n in range(501))
    answer = await bulk(api, content, "?mode=atomic", **{"idempotency-key": str(uuid4())})
    assert (answer.status_code, answer.json()["code"]) == (422, "limit-exceeded")
    assert await count(api) == 0
