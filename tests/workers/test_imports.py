"""Imports from the request to the last row: through the real application, coordinator and worker processes."""

import asyncio
import json
import signal
from typing import Any

import httpx

from tests.api.whole.conftest import Newcomer as NewTenant
from tests.api.whole.conftest import Tenant
from tests.workers.conftest import Processes, Tables, signal_group

NDJSON = {"content-type": "application/x-ndjson"}


def lines(*rows: Any) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def party(number: int, **fields: Any) -> dict[str, Any]:
    data = {"code": f"IMP{number}", "name": f"Customer {number}", "is_customer": True, **fields}
    return {"key": f"party:{number}", "data": data}


async def send(tenant: Tenant, resource: str, body: bytes, **headers: str) -> httpx.Response:
    return await tenant.client.post(f"/v1/imports/{resource}", content=body, headers={**NDJSON, **headers})


async def accepted(tenant: Tenant, resource: str, body: bytes) -> dict[str, Any]:
    reply = await send(tenant, resource, body)
    assert reply.status_code == 202, reply.text
    found: dict[str, Any] = reply.json()
    assert reply.headers["location"] == found["operation"]
    return found


async def finished(tenant: Tenant, tables: Tables, started: dict[str, Any]) -> dict[str, Any]:
    await tables.until("SELECT state IN ('done', 'failed') FROM jobs WHERE id = %(id)s", id=started["id"], seconds=60)
    job: dict[str, Any] = await tenant.get(started["job"])
    return job


async def test_an_import_books_its_rows_and_says_what_was_wrong_with_the_others(
    processes: Processes, tables: Tables, new_tenant: NewTenant
) -> None:
    tenant = await new_tenant()
    processes.coordinator()
    processes.real_worker("low")
    body = lines(
        party(1), party(2), party(1), {"key": "party:x"}, party(3, code="IMP2"), party(4, is_admin=True),
        {"key": "party:1", "data": {"code": "OTHER", "name": "Other"}},
    ) + b"not json\n" + lines(party(5))  # fmt: skip
    started = await accepted(tenant, "parties", body)
    assert started["rows"] == 9
    job = await finished(tenant, tables, started)
    assert (job["state"], job["result"]) == ("done", {"rows": 9, "done": 4, "failed": 5})
    refused = {row["row"]: (row["status"], row["answer"]["code"]) for row in job["failed_rows"]}
    assert refused == {
        4: (422, "missing-field"), 5: (409, "duplicate"), 6: (422, "unknown-field"),
        7: (422, "idempotency-key-reused"), 8: (400, "invalid-json"),
    }  # fmt: skip
    listed = await tenant.get(f"{started['job']}/rows", outcome="failed")
    assert [row["row"] for row in listed["data"]] == [4, 5, 6, 7, 8]
    parties = tables.rows("SELECT code FROM parties WHERE tenant_id = %(id)s AND code LIKE 'IMP%%'", id=tenant.id)
    assert sorted(one["code"] for one in parties) == ["IMP1", "IMP2", "IMP5"]


async def test_an_import_goes_on_after_its_worker_was_killed_and_books_nothing_twice(
    processes: Processes, tables: Tables, new_tenant: NewTenant
) -> None:
    tenant = await new_tenant()
    processes.coordinator()
    doomed = processes.real_worker("low")
    started = await accepted(tenant, "parties", lines(*(party(number) for number in range(600))))
    done = "SELECT count(*) > %(n)s FROM job_rows WHERE job_id = %(id)s AND outcome = 'done'"
    await tables.until(done, id=started["id"], n=50)
    signal_group(doomed, signal.SIGKILL)
    processes.real_worker("low")
    job = await finished(tenant, tables, started)
    assert (job["state"], job["result"]) == ("done", {"rows": 600, "done": 600, "failed": 0})
    booked = "SELECT count(*), count(DISTINCT code) FROM parties WHERE tenant_id = %(id)s AND code LIKE 'IMP%%'"
    [row] = tables.rows(booked, id=tenant.id)
    assert set(row.values()) == {600}
    # A second import of the same rows, and the bulk stream with one of them, find them booked.
    again = await finished(tenant, tables, await accepted(tenant, "parties", lines(*map(party, range(20)))))
    assert again["result"] == {"rows": 20, "done": 20, "failed": 0}
    reply = await tenant.client.post("/v1/bulk/parties", content=lines(party(7)), headers=NDJSON)
    assert (reply.json()["status"], reply.json()["replayed"]) == (201, True)


async def test_a_revoked_key_stops_its_imports(processes: Processes, tables: Tables, new_tenant: NewTenant) -> None:
    tenant = await new_tenant()
    started = await accepted(tenant, "parties", lines(party(1)))
    tables.rows("UPDATE api_keys SET state = 'revoked' WHERE tenant_id = %(id)s", id=tenant.id)
    processes.coordinator()
    processes.real_worker("low")
    await tables.until("SELECT state = 'failed' FROM jobs WHERE id = %(id)s", id=started["id"])
    row = tables.value("SELECT error_code FROM jobs WHERE id = %(id)s", id=started["id"])
    assert row == "unauthorized"
    assert tables.value("SELECT count(*) FROM parties WHERE tenant_id = %(id)s AND code = 'IMP1'", id=tenant.id) == 0


async def test_what_is_no_import_is_refused(clean: None, tables: Tables, new_tenant: NewTenant) -> None:
    tenant = await new_tenant()
    refusals = [
        (await send(tenant, "sales", lines(party(1))), 404, "not-found"),
        (await send(tenant, "api-keys", lines(party(1))), 404, "not-found"),
        (await send(tenant, "parties", b"\n  \n"), 422, "invalid-value"),
        (await send(tenant, "parties", b"{}", **{"content-type": "application/json"}), 415, "unsupported-media-type"),
        (await send(tenant, "parties", b"x" * (1024 * 1024 + 1)), 413, "payload-too-large"),
        (await send(tenant, "parties", b"{}\n" * 50_001), 422, "limit-exceeded"),
    ]
    assert [(reply.status_code, reply.json()["code"]) for reply, _, _ in refusals] == [
        (status, code) for _, status, code in refusals
    ]
    assert tables.value("SELECT count(*) FROM jobs") == 0


async def test_a_repeated_import_request_is_one_import(clean: None, tables: Tables, new_tenant: NewTenant) -> None:
    tenant = await new_tenant()
    body, key = lines(party(1), party(2)), {"idempotency-key": "import-of-today-1"}
    replies = await asyncio.gather(*(send(tenant, "parties", body, **key) for _ in range(4)))
    good = [reply.json() for reply in replies if reply.status_code == 202]
    assert {reply.status_code for reply in replies} <= {202, 409}
    assert len({one["id"] for one in good}) == 1
    other = await send(tenant, "parties", lines(party(3)), **key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    assert tables.value("SELECT count(*) FROM jobs") == 1
    assert tables.value("SELECT count(*) FROM job_rows") == 2
