"""A batch takes effect as a whole or not at all, and says which operation was to blame."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.api.http.conftest import Rig, Tenant, client_of

_NOBODY = str(uuid4())
_TARGET = "/operations/1/target"


def create(name: str, **data: Any) -> dict[str, Any]:
    return {"op": "notes.create", "data": {"name": name, "amount": "1", **data}}


async def batch(api: httpx.AsyncClient, *operations: dict[str, Any], key: str | None = None) -> httpx.Response:
    return await api.post(
        "/v1/batch", json={"operations": list(operations)}, headers={"idempotency-key": key or str(uuid4())}
    )


async def names(api: httpx.AsyncClient) -> list[str]:
    return sorted(note["name"] for note in (await api.get("/v1/notes")).json()["data"])


def assert_refused(answer: httpx.Response, status: int, code: str, pointer: str, operation: int | None) -> None:
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem.get("pointer")) == (status, code, pointer), problem
    assert problem.get("operation") == operation


async def test_results_come_in_order(api: httpx.AsyncClient) -> None:
    answer = await batch(api, create("B"), create("A"), create("C"))
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [(r["op"], r["status"], r["data"]["name"]) for r in results] == [("notes.create", 201, n) for n in "BAC"]
    assert await names(api) == ["A", "B", "C"]


async def test_one_refusal_undoes_everything(api: httpx.AsyncClient) -> None:
    answer = await batch(api, create("A"), create("B"), create("A"))
    assert_refused(answer, 409, "test-note-name-taken", "/operations/2/data/name", 2)
    assert await names(api) == []


async def test_a_later_operation_may_use_what_an_earlier_one_made(api: httpx.AsyncClient) -> None:
    answer = await batch(
        api,
        create("First"),
        {"op": "notes.rename", "target": {"$from": 0}, "if_match": 1, "data": {"name": "Renamed"}},
        create("Copy", text="x", labels={"of": {"$from": 0}, "was": {"$from": 0, "field": "name"}}),
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["results"][1]["data"]["version"] == 2
    assert await names(api) == ["Copy", "Renamed"]


@pytest.mark.parametrize(
    ("operation", "status", "code", "pointer"),
    [
        ({"op": "notes.explode"}, 422, "invalid-value", "/operations/1/op"),
        ({"op": "notes.touch"}, 422, "missing-field", "/operations/1/target"),
        ({"op": "notes.create", "data": {"name": "X"}}, 422, "missing-field", "/operations/1/data/amount"),
        (create("X", amount=1), 422, "amount-must-be-string", "/operations/1/data/amount"),
        (create("X", tenant_id="y"), 422, "unknown-field", "/operations/1/data/tenant_id"),
        ({**create("X"), "target": str(uuid4())}, 422, "unknown-field", "/operations/1/target"),
        ({**create("X"), "if_match": 1}, 422, "unknown-field", "/operations/1/if_match"),
        (
            {"op": "notes.rename", "target": str(uuid4()), "data": {"name": "Y"}},
            428, "precondition-required", "/operations/1/if_match",
        ),
        ({"op": "notes.touch", "target": str(uuid4())}, 404, "not-found", "/operations/1"),
        ({"op": "notes.touch", "target": {"$from": 1}}, 422, "invalid-value", "/operations/1/target"),
        ({"op": "notes.touch", "target": {"$from": 0, "field": "name"}}, 422, "invalid-value", _TARGET),
        (create("X", text={"$from": 0, "field": "secret"}), 422, "invalid-value", "/operations/1/data"),
        (create("X", text={"$from": 0, "more": 1}), 422, "unknown-field", "/operations/1/data/more"),
        ({"op": "notes.touch", "target": _NOBODY, "data": {"x": 1}}, 422, "unknown-field", "/operations/1/data/x"),
    ],
)  # fmt: skip
async def test_a_refusal_names_its_operation(
    api: httpx.AsyncClient, operation: dict[str, Any], status: int, code: str, pointer: str
) -> None:
    assert_refused(await batch(api, create("A"), operation), status, code, pointer, 1)
    assert await names(api) == []


async def test_an_old_version_in_a_batch_is_refused(api: httpx.AsyncClient) -> None:
    note = (await batch(api, create("A"))).json()["results"][0]["data"]["id"]
    rename = {"op": "notes.rename", "target": note, "data": {"name": "B"}}
    assert (await batch(api, {**rename, "if_match": 1})).status_code == 200
    assert_refused(await batch(api, {**rename, "if_match": 1}), 412, "version-conflict", "/operations/0", 0)


async def test_each_operation_needs_its_own_permission(rig: Rig, tenant: Tenant) -> None:
    async with client_of(rig.gate, tenant.reader) as reader:
        assert_refused(await batch(reader, create("A")), 403, "forbidden", "/operations/0", 0)


async def test_a_batch_is_repeated_harmlessly(api: httpx.AsyncClient) -> None:
    key = str(uuid4())
    first, second = [await batch(api, create("A"), create("B"), key=key) for _ in range(2)]
    assert first.content == second.content
    assert second.headers["idempotency-replayed"] == "true"
    other = await batch(api, create("C"), key=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")


async def test_a_batch_needs_a_key(api: httpx.AsyncClient) -> None:
    answer = await api.post("/v1/batch", json={"operations": [create("A")]})
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency-key-required")


@pytest.mark.parametrize("count", [0, 101])
async def test_a_batch_has_one_to_a_hundred_operations(api: httpx.AsyncClient, count: int) -> None:
    answer = await batch(api, *(create(f"N{n}") for n in range(count)))
    assert (answer.status_code, answer.json()["pointer"]) == (422, "/operations")


async def test_a_hundred_operations_are_one_transaction(api: httpx.AsyncClient) -> None:
    assert (await batch(api, *(create(f"N{n:03}") for n in range(100)))).status_code == 200
    assert (await api.get("/v1/notes?count=exact&limit=1")).json()["count"] == 100


async def test_a_written_batch_hands_out_its_position(api: httpx.AsyncClient) -> None:
    assert (await batch(api, create("A"))).headers["consistency-token"]
