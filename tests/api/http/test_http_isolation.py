"""What belongs to another tenant does not exist, whichever way it is asked for."""

from uuid import uuid4

import httpx
import pytest

from tests.api.http.conftest import Rig, Tenant, add_tenant, client_of
from tests.services import Services


@pytest.fixture
def neighbour(services: Services, rig: Rig) -> Tenant:
    return add_tenant(services)


async def make(api: httpx.AsyncClient, name: str = "Mine") -> str:
    answer = await api.post(
        "/v1/notes", json={"name": name, "amount": "1"}, headers={"idempotency-key": str(uuid4())}
    )
    assert answer.status_code == 201
    return str(answer.json()["id"])


def without_names(answer: httpx.Response) -> dict[str, object]:
    return {k: v for k, v in answer.json().items() if k not in ("instance", "correlation_id")}


async def test_a_foreign_id_answers_exactly_like_a_missing_one(
    rig: Rig, api: httpx.AsyncClient, neighbour: Tenant
) -> None:
    note, missing = await make(api), str(uuid4())
    async with client_of(rig.gate, neighbour.owner) as other:
        for method, path in (("GET", ""), ("POST", "/rename"), ("POST", "/touch")):
            body = {"json": {"name": "Stolen"}} if path == "/rename" else {}
            headers = {"if-match": '"1"'} if path == "/rename" else {}
            foreign = await other.request(method, f"/v1/notes/{note}{path}", headers=headers, **body)  # type: ignore[arg-type]
            absent = await other.request(method, f"/v1/notes/{missing}{path}", headers=headers, **body)  # type: ignore[arg-type]
            assert (foreign.status_code, absent.status_code) == (404, 404)
            assert without_names(foreign) == without_names(absent)
            assert foreign.json()["code"] == "not-found"
    assert (await api.get(f"/v1/notes/{note}")).json()["name"] == "Mine"


async def test_lists_hold_ones_own_records_only(rig: Rig, api: httpx.AsyncClient, neighbour: Tenant) -> None:
    await make(api)
    async with client_of(rig.gate, neighbour.owner) as other:
        await make(other, "Theirs")
        found = (await other.get("/v1/notes?count=exact")).json()
    assert [note["name"] for note in found["data"]] == ["Theirs"]
    assert found["count"] == 1


async def test_a_cursor_of_one_tenant_is_of_no_use_to_another(
    rig: Rig, api: httpx.AsyncClient, neighbour: Tenant
) -> None:
    for number in range(2):
        await make(api, f"Note {number}")
    cursor = (await api.get("/v1/notes?limit=1")).json()["next_cursor"]
    async with client_of(rig.gate, neighbour.owner) as other:
        refused = await other.get(f"/v1/notes?limit=1&cursor={cursor}")
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid-cursor")


async def test_a_failed_create_leaves_nothing_to_read(api: httpx.AsyncClient) -> None:
    await make(api, "Taken")
    refused = await api.post(
        "/v1/notes", json={"name": "Taken", "amount": "1"}, headers={"idempotency-key": str(uuid4())}
    )
    assert refused.status_code == 409
    assert len((await api.get("/v1/notes")).json()["data"]) == 1


async def test_a_reader_may_read_and_nothing_else(rig: Rig, api: httpx.AsyncClient, tenant: Tenant) -> None:
    note = await make(api)
    async with client_of(rig.gate, tenant.reader) as reader:
        assert (await reader.get(f"/v1/notes/{note}")).status_code == 200
        refused = await reader.post(
            "/v1/notes", json={"name": "B", "amount": "1"}, headers={"idempotency-key": str(uuid4())}
        )
        assert (refused.status_code, refused.json()["permission"]) == (403, "notes:write")
        assert (await reader.post(f"/v1/notes/{note}/touch")).status_code == 403


async def test_permission_is_asked_before_the_record_is_looked_for(rig: Rig, tenant: Tenant) -> None:
    """Else the difference between 403 and 404 would tell which ids exist."""
    async with client_of(rig.gate, tenant.reader) as reader:
        assert (await reader.post(f"/v1/notes/{uuid4()}/touch")).status_code == 403
