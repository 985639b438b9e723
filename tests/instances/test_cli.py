"""`erp instances`, `erp leader` and `erp features` against the application over real HTTP."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from db.pool import Pool
from erp.cli import app
from tenancy.platform import PlatformDatabase
from tests.configuration.test_cli import _LOGGED, url
from tests.instances.conftest import until
from tests.services import Services
from tests.standbys import catch_up
from workers.lease import Lease

__all__ = ["url"]

Cli = Callable[..., Awaitable[str]]


@pytest.fixture
def cli(url: str, services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:  # a fixture
    monkeypatch.setenv("ERP_STATE_DIR", str(tmp_path / "nowhere"))

    async def run(group: str, *words: str, code: int = 0, key: str = services.operator_key) -> str:
        asked = [group, "--url", url, "--key", key, *words]
        result = await asyncio.to_thread(CliRunner().invoke, app, asked)
        assert result.exit_code == code, result.output
        return _LOGGED.sub("", result.output)

    return run


async def test_instances_from_the_command_line(cli: Cli) -> None:
    found = json.loads(await cli("instances", "show", "test-1"))
    assert (found["name"], found["state"]) == ("test-1", "ready")
    assert json.loads(await cli("instances", "cluster"))["instances"] >= 1
    assert "draining" in await cli("instances", "drain", "test-1", "--reason", "A test", "--force")
    assert "ready" in await cli("instances", "undrain", "test-1", "--reason", "Done")
    assert "confirmed" in await cli("instances", "reload-configuration", "test-1")
    level = await cli("instances", "log-level", "info", "--instance", "test-1", "--seconds", "0", "--reason", "Done")
    assert "info" in level
    assert json.loads(await cli("instances", "diagnostics", "test-1"))["diagnostics"]["tasks"]
    assert "not-found" in await cli("instances", "show", "nobody", code=1)


async def test_the_lead_from_the_command_line(cli: Cli, services: Services) -> None:
    pool = Pool(services.platform_url, name="platform", size=2, prepared=services.prepared_statements)
    await pool.open()
    lease = Lease(PlatformDatabase(pool), "coordinator", "cli-test:0", ttl=30)
    with psycopg.connect(services.second_superuser_url, autocommit=True) as second:
        second.execute("DELETE FROM leases")  # what another test's coordinator has left
    try:
        await until(lease.take, 40.0)  # another test's may have to run out
        shown = json.loads(await cli("leader", "show", "--json"))["data"][0]
        assert (shown["holder"], shown["held"]) == ("cli-test:0", True)
        refused = await cli("leader", "transfer", "--to", "nobody", "--reason", "A test", code=1)
        assert "no-other-coordinator" in refused
    finally:
        await lease.give_up()
        await pool.close()
    assert "nobody has taken over" in await cli("leader", "show", code=1)
    catch_up(services)
    [newest] = json.loads(await cli("leader", "history", "--limit", "1", "--json"))
    assert (newest["holder"], newest["ended"]) == ("cli-test:0", "stopped")


async def test_features_from_the_command_line(cli: Cli) -> None:
    assert "compressed_cache_entries" in await cli("features", "list")
    answer = await cli("features", "deactivate", "compressed_cache_entries", "--reason", "A test")
    assert answer == "compressed_cache_entries: not active already\n"
    assert "not-found" in await cli("features", "activate", "nothing_of_the_kind", "--reason", "A test", code=1)
