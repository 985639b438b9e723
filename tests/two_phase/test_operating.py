"""What the operator sees of distributed transactions, by API and by command, and how old decisions go."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import httpx
import psycopg
import pytest

from db.pool import Pool
from db.two_phase import TwoPhase
from deploy.local.processes import inherited_environment
from erp.placed import build_two_phase
from erp.settings import load_settings
from tenancy.platform import PlatformDatabase
from tests.api.whole.conftest import Newcomer, Tenant
from tests.services import Services
from tests.two_phase.test_kill_nine import die, prepared, sold
from tests.two_phase.trading import make_pair
from workers.relay import anybody
from workers.schedule import dropping
from workers.schedule_repository import DROP_DECISIONS


async def test_the_operator_ends_what_a_dead_coordinator_left(
    services: Services, newcomer: Newcomer, operator: httpx.AsyncClient, tmp_path: Path
) -> None:
    pairs = [await make_pair(newcomer) for _ in range(2)]
    await die(services, [(pairs[0], "prepared:1"), (pairs[1], "decided")], tmp_path)
    listed = (await operator.get("/v1/distributed-transactions")).json()
    assert sorted(one["decision"] for one in listed["data"]) == ["commit", "commit", "none", "none"]
    assert {one["database"] for one in listed["data"]} == {"main", "second"}
    databases = (await operator.get("/v1/databases")).json()["data"]
    assert [(one["name"], one["answers"], one["prepared"]) for one in databases] == [
        ("main", True, 2), ("second", True, 2)
    ]  # fmt: skip
    given_up = next(one["id"] for one in listed["data"] if one["decision"] == "none")
    decided = next(one["id"] for one in listed["data"] if one["decision"] == "commit")
    ended = await operator.post(
        f"/v1/distributed-transactions/{given_up}/resolve", json={"reason": "Nobody comes back"}
    )
    assert ended.json() == {"id": given_up, "decision": "abort"}
    again = await operator.post(f"/v1/distributed-transactions/{given_up}/resolve", json={})
    assert again.status_code == 404

    shown = command(services, "list")
    assert shown.returncode == 1
    assert decided[:8] in shown.stdout
    assert (
        command(services, "resolve", decided, "--reason", "It holds up month end").stdout.strip()
        == f"{decided}: commit"
    )
    assert command(services, "list").returncode == 0
    assert prepared(services) == []
    assert [await sold(pair) for pair in pairs] == [{0}, {1}]
    asked = {"action": "distributed_transaction.resolve", "limit": "2"}
    entries = (await operator.get("/v1/audit-entries", params=asked)).json()["data"]
    assert [(one["principal_kind"], one["after"]["transaction"], one["after"]["reason"]) for one in entries] == [
        ("system", decided, "It holds up month end"), ("operator", given_up, "Nobody comes back")
    ]  # fmt: skip
    assert entries[0]["principal_name"].startswith("cli:")


def command(services: Services, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**inherited_environment(None), **services.environment("cli", "tool"), "COLUMNS": "200"}
    return subprocess.run(
        (sys.executable, "-m", "erp.cli", "two-phase", *arguments), env={**environment, "PATH": os.environ["PATH"]},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


async def test_a_tenant_sees_none_of_it(tenant: Tenant) -> None:
    for path in ("/v1/databases", "/v1/distributed-transactions"):
        refused = await tenant.get(path, expect=403)
        assert refused["code"] == "operator-only"


@pytest.mark.parametrize(
    ("decision", "finished", "kept"), [("commit", True, 0), ("abort", False, 0), ("commit", False, 1)]
)
async def test_old_decisions_go_unless_somebody_may_still_ask(
    services: Services, decision: str, finished: bool, kept: int
) -> None:
    pool = Pool(services.platform_url, name="platform", size=1)
    await pool.open()
    with psycopg.connect(services.superuser_url, autocommit=True) as connection:
        connection.execute("DELETE FROM two_phase_decisions")
        connection.execute(
            "INSERT INTO two_phase_decisions (id, coordinator, decision, participants, decided_at, finished_at)"
            " VALUES (gen_random_uuid(), 'old', %(decision)s, '{main}', now() - interval '8 days',"
            " CASE WHEN %(finished)s THEN now() END)",
            {"decision": decision, "finished": finished},
        )
        await dropping(DROP_DECISIONS, timedelta(days=7))(PlatformDatabase(pool), anybody)
        [(left,)] = connection.execute("SELECT count(*) FROM two_phase_decisions").fetchall()
        connection.execute("DELETE FROM two_phase_decisions")
    await pool.close()
    assert left == kept


async def test_settings_name_further_databases(services: Services) -> None:
    settings = load_settings(services.environment("x", "api"))
    two_phase: TwoPhase = build_two_phase(settings)
    assert set(two_phase.direct) == {"main", "second"}
    wrong = services.environment("x", "api") | {"ERP_DATABASES": json.dumps({"main": {}})}
    with pytest.raises(ValueError):
        load_settings(wrong)
