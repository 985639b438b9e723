"""`erp config` against the application over real HTTP."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import uvicorn
from typer.testing import CliRunner

from deploy.local.ports import free_port
from erp.cli import app
from erp.http.gate import Gate
from tests.api.whole.conftest import Tenant
from tests.configuration.conftest import until
from tests.services import Services

Cli = Callable[..., Awaitable[str]]
#: What the application in this process logs meanwhile.
_LOGGED = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[.*\n", re.MULTILINE)


@pytest.fixture
async def url(gate: Gate) -> AsyncIterator[str]:
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(gate, port=port, lifespan="off", log_config=None))
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started, 10.0)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await serving


@pytest.fixture
def cli(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("ERP_STATE_DIR", str(tmp_path / "nowhere"))

    async def run(key: str, *words: str, code: int = 0) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, app, ["config", "--url", url, "--key", key, *words])
        assert result.exit_code == code, result.output
        return _LOGGED.sub("", result.output)

    return run


async def test_a_tenants_configuration_from_the_command_line(tenant: Tenant, cli: Cli, tmp_path: Path) -> None:
    key, ttl = tenant.key, "sales.reservation_ttl"
    assert (await cli(key, "get", ttl)) == "259200\n"
    changed = await cli(key, "set", ttl, "3600", "--reason", "Shorter")
    assert changed == f"version 2\n{ttl}: inherited -> 3600\n"
    refused = await cli(key, "set", ttl, "5", "--reason", "Too short", code=1)
    assert "invalid-configuration-value" in refused
    stale = await cli(key, "set", ttl, "70", "--reason", "Late", "--expected-version", "1", code=1)
    assert "version" in stale
    await cli(key, "set", ttl, "7200", "--reason", "Longer", "--expected-version", "2")
    assert (await cli(key, "diff", "2", "3")) == f"{ttl}: 3600 -> 7200\n"
    rows = json.loads(await cli(key, "history", "--json"))
    assert [(row["after"], row["reason"]) for row in rows] == [(7200, "Longer"), (3600, "Shorter")]

    backup = tmp_path / "backup.json"
    await cli(key, "export", "--output", str(backup))
    assert json.loads(backup.read_text())["values"] == {ttl: 7200}
    await cli(key, "rollback", "2", "--reason", "Back")
    assert (await cli(key, "get", ttl)) == "3600\n"
    await cli(key, "import", str(backup), "--reason", "Restored")
    assert (await cli(key, "get", ttl)) == "7200\n"
    await cli(key, "set", ttl, "--inherit", "--reason", "As the others")
    assert (await cli(key, "get", ttl)) == "259200\n"
    listed = await cli(key, "list")
    assert "tenant, version 6" in listed


async def test_what_cannot_be_is_refused_in_a_line(tenant: Tenant, cli: Cli, tmp_path: Path) -> None:
    for value in ("NaN", "1e999"):
        refused = await cli(tenant.key, "set", "sales.reservation_ttl", value, "--reason", "A slip", code=2)
        assert "The value is of type" in refused
    assert "cannot be written" in await cli(tenant.key, "export", "--output", str(tmp_path / "no" / "file"), code=2)
    both = await cli(tenant.key, "set", "sales.reservation_ttl", "70", "--inherit", "--reason", "A slip", code=2)
    assert "not both" in both
    nothing, garbage = tmp_path / "missing.pem", tmp_path / "garbage.pem"
    garbage.write_text("no certificate")
    for ca in (nothing, garbage):
        assert "no certificate authority" in await cli(tenant.key, "--ca", str(ca), "list", code=1)


async def test_the_operators_key_shows_and_sets_the_systems_values(services: Services, cli: Cli) -> None:
    listed = json.loads(await cli(services.operator_key, "list", "--json"))
    assert listed["scope"] == "system"
    assert {"limits.user_per_minute", "workers.max_attempts", "log.level"} <= {key["key"] for key in listed["keys"]}
    refused = await cli(services.operator_key, "set", "log.level", "loud", "--reason", "A test", code=1)
    assert "invalid-configuration-value" in refused


async def test_an_unknown_key_is_said_to_be_unknown(tenant: Tenant, cli: Cli) -> None:
    assert "not-found" in (await cli(tenant.key, "get", "sales.no_such_key", code=1))
