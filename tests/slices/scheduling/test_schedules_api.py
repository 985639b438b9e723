"""Schedules over the API and from the command line: made, changed, removed, refused."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from erp.cli import app
from tests.api.whole.conftest import Tenant, client_of
from tests.services import Services

Cli = Callable[..., Awaitable[str]]
_LOGGED = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[.*\n", re.MULTILINE)


async def schedule(tenant: Tenant, **fields: Any) -> Any:
    return await tenant.make("schedules", **{"name": "Nightly", "kind": "reorder", "cron": "30 2 * * *", **fields})


async def patch(tenant: Tenant, made: Any, version: int, expect: int = 200, **fields: Any) -> Any:
    reply = await tenant.client.patch(
        f"/v1/schedules/{made['id']}", json=fields, headers={"If-Match": f'"{version}"'}
    )
    assert reply.status_code == expect, reply.text
    return reply.json()


async def test_a_schedule_is_made_changed_and_removed(tenant: Tenant) -> None:
    made = await schedule(tenant)
    assert (made["time_zone"], made["missed"], made["enabled"], made["version"]) == (
        "Europe/London", "run_once", True, 1,
    )  # fmt: skip
    assert made["next_runs"][0] == made["next_at"]
    assert [moment > datetime.now(UTC).isoformat() for moment in made["next_runs"]] == [True] * 5
    moved = await patch(tenant, made, 1, cron="0 12 * * *", time_zone="Asia/Kathmandu", missed="skip")
    assert {moment[11:16] for moment in moved["next_runs"]} == {"06:15"}
    assert (await patch(tenant, made, 1, 412, name="Late"))["code"] == "version-conflict"
    off = await patch(tenant, made, 2, enabled=False)
    assert (off["next_at"], off["next_runs"]) == (None, [])
    listed = (await tenant.get("/v1/schedules", 200, enabled="false", kind="reorder"))["data"]
    assert [one["id"] for one in listed] == [made["id"]]
    same = await patch(tenant, made, 3, name="Nightly")
    assert same["version"] == 3  # nothing changed
    entries = (await tenant.get("/v1/audit-entries", 200, target_id=made["id"]))["data"]
    assert [one["action"] for one in entries] == ["schedule.updated", "schedule.updated", "schedule.created"]
    reply = await tenant.client.delete(f"/v1/schedules/{made['id']}", headers={"If-Match": '"3"'})
    assert (reply.status_code, reply.content) == (204, b"")
    await tenant.get(f"/v1/schedules/{made['id']}", 404)


@pytest.mark.parametrize(
    ("fields", "code", "pointer"),
    [
        ({"cron": "30 25 * * *"}, "invalid-value", "/cron"),
        ({"cron": "0 0 30 2 *"}, "invalid-value", "/cron"),
        ({"cron": "* * * * *"}, "schedule-too-frequent", "/cron"),
        ({"cron": "*/4 * * * *"}, "schedule-too-frequent", "/cron"),
        ({"time_zone": "Mars/Olympus"}, "invalid-value", "/time_zone"),
        ({"missed": "perhaps"}, "invalid-value", "/missed"),
        ({"kind": "recurring_order"}, "invalid-value", "/kind"),
        ({"kind": "drop_everything"}, "invalid-value", "/kind"),
        ({"parameters": {"months_back": 1}}, "unknown-field", "/parameters/months_back"),
        ({"kind": "period_pre_close", "parameters": {"months_back": 99}}, "invalid-value", "/parameters/months_back"),
    ],
)
async def test_what_is_no_schedule_is_refused(
    tenant: Tenant, fields: dict[str, Any], code: str, pointer: str
) -> None:
    body = {"name": "Wrong", "kind": "reorder", "cron": "30 2 * * *", **fields}
    problem = await tenant.post("/v1/schedules", body, 422)
    assert (problem["code"], problem["pointer"]) == (code, pointer)


async def test_nobody_schedules_what_they_may_not_do(tenant: Tenant, gate: Any) -> None:
    scopes = ["schedules:*", "invoices:write"]
    key = await tenant.make("api-keys", name="clerk", role="custom", scopes=scopes)
    async with client_of(gate, key["secret"]) as clerk:
        for kind, status in (("overdue_reminders", 201), ("reorder", 403)):
            reply = await clerk.post("/v1/schedules", json={"name": kind, "kind": kind, "cron": "0 6 * * *"})
            assert reply.status_code == status, reply.text
        other = await schedule(tenant)
        headers = {"Idempotency-Key": "run-what-i-may-not"}
        reply = await clerk.post(f"/v1/schedules/{other['id']}/run", headers=headers)
        assert (reply.status_code, reply.json()["permission"]) == (403, "purchase_orders:write")


async def test_twenty_who_run_it_at_once_run_it_once(tenant: Tenant) -> None:
    made = await schedule(tenant)
    answers = await asyncio.gather(*(tenant.post(f"/v1/schedules/{made['id']}/run", expect=202) for _ in range(20)))
    assert len({one["id"] for one in answers}) == 1
    [run] = (await tenant.get(f"/v1/schedules/{made['id']}/runs"))["data"]
    assert (run["trigger"], run["state"], run["job_id"]) == ("manual", "queued", answers[0]["job_id"])


@pytest.fixture
def cli(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("ERP_STATE_DIR", str(tmp_path / "nowhere"))

    async def run(key: str, *words: str, code: int = 0) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, app, ["schedules", "--url", url, "--key", key, *words])
        assert result.exit_code == code, result.output
        return _LOGGED.sub("", result.output)

    return run


async def test_a_tenants_schedules_from_the_command_line(tenant: Tenant, cli: Cli) -> None:
    made = await schedule(tenant)
    [shown] = json.loads(await cli(tenant.key, "list", "--json"))
    assert shown["id"] == made["id"]
    assert "30 2 * * *" in await cli(tenant.key, "list")
    assert "asked for" in await cli(tenant.key, "run", "Nightly")
    [run] = json.loads(await cli(tenant.key, "runs", "Nightly", "--json"))
    assert run["trigger"] == "manual"
    assert "never" in await cli(tenant.key, "disable", "Nightly")
    assert "version 3" in await cli(tenant.key, "enable", "Nightly")
    assert "04:00" in await cli(tenant.key, "change", "Nightly", "0 4 * * *")
    assert "no schedule" in await cli(tenant.key, "runs", "Weekly", code=1)


async def test_the_systems_tasks_from_the_command_line(tenant: Tenant, cli: Cli, services: Services) -> None:
    """Those that a leader has made known, however many they are."""
    names = [one["name"] for one in json.loads(await cli(services.operator_key, "list", "--json"))]
    assert names == sorted(names)
    assert "not-found" in await cli(services.operator_key, "run", "nothing", code=1)
