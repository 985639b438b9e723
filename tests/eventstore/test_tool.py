"""`erp events` and `erp projections`, straight on the databases."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from erp.cli import app
from erp.operations import following
from erp.projections.building import read_history, switch
from erp.projections.consumers import CONSUMERS
from tenancy.database import TenantDatabase
from tenancy.platform import PlatformDatabase
from tests.api.whole.conftest import Newcomer, Tenant
from tests.api.whole.trading import stocked_product
from tests.configuration.test_cli import _LOGGED
from tests.eventstore.busride import Ride
from tests.eventstore.test_bus import Shop, in_steps, refusing, sums
from tests.services import Services
from tests.workers.conftest import Tables

pytestmark = pytest.mark.usefixtures("clean")

Cli = Callable[..., Awaitable[str]]


@pytest.fixture
def erp(services: Services, monkeypatch: pytest.MonkeyPatch) -> Cli:
    for name, value in {**services.environment("tool", "tool"), "COLUMNS": "250"}.items():
        monkeypatch.setenv(name, value)

    async def run(*words: str, code: int = 0) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, app, list(words))
        assert result.exit_code == code, result.output
        return _LOGGED.sub("", result.output)

    return run


async def listed(erp: Cli, *words: str, code: int = 0) -> Any:
    return json.loads(await erp(*words, "--json", code=code))


async def test_the_tool_verifies_and_says_what_differs(erp: Cli, tenant: Tenant, tables: Tables) -> None:
    await stocked_product(tenant, "P", "50")
    await erp("events", "verify", "--tenant", tenant.slug)
    tables.rows("UPDATE stock_levels SET on_hand = 51 WHERE tenant_id = %(id)s", id=tenant.id)
    assert "on_hand 51 50" in await erp("events", "verify", "--tenant", tenant.slug, code=1)
    assert "stock-movements" in await erp("projections", "list", "--tenant", tenant.slug)


@pytest.mark.parametrize("words", [("events", "consumers"), ("two-phase", "list")])
def test_without_a_fleet_it_says_so_at_once_and_makes_none(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ERP_DATABASE_URL", raising=False)
    monkeypatch.setenv("ERP_STATE_DIR", str(tmp_path / "nowhere"))
    result = CliRunner().invoke(app, list(words))
    assert (result.exit_code, "No fleet runs here" in result.output) == (2, True), result.output
    assert not (tmp_path / "nowhere").exists()


async def test_a_tenant_of_a_further_database_is_verified_there(erp: Cli, newcomer: Newcomer) -> None:
    tenant = await newcomer(database="second")
    await stocked_product(tenant, "P", "50")
    [found] = await listed(erp, "events", "verify", "--tenant", tenant.slug)
    assert (found["tenant"], found["checked"], found["differing"]) == (tenant.slug, 1, 0)


async def test_dead_letters_are_seen_tried_again_and_given_up(
    erp: Cli, services: Services, platform: PlatformDatabase, database: TenantDatabase, tenant: Tenant, tables: Tables
) -> None:
    shop = await Shop.of(tenant)
    mine = ("--tenant", tenant.slug)
    assert await erp("events", "dead-letters", *mine) == "No dead letters.\n"
    sales = [await shop.sell() for _ in range(2)]
    stubborn, _ = refusing()
    await (ride := Ride(services, platform, database, {**CONSUMERS, "sales": stubborn})).follow()
    await ride.settle(tables)

    letters = await listed(erp, "events", "dead-letters", *mine, code=1)
    assert {(one["tenant"], one["consumer"], one["error"]) for one in letters} == {
        (tenant.slug, "sales", "ValueError")
    }
    seen = {one["consumer"]: one for one in await listed(erp, "events", "consumers") if one["database"] == "main"}
    assert seen["sales"]["dead"] == len(letters) == len(sales)
    first, second = (one["id"] for one in letters)
    assert f"{first}: replayed" in await erp("events", "retry", first, *mine, "--reason", "The rule is mended")
    assert (await sums(tables, tenant))[:2] == (1, 10)
    assert f"{second}: discarded" in await erp("events", "discard", second, *mine, "--reason", "A test sale")
    assert "No dead letters." in await erp("events", "dead-letters", *mine)
    trail = {one["action"]: one for one in (await tenant.get("/v1/audit-entries", target_type="dead_letter"))["data"]}
    assert trail["dead_letter.discarded"]["after"]["reason"] == "A test sale"
    assert trail["dead_letter.discarded"]["principal_name"].startswith("cli:")

    # Decided is decided, and what nobody knows is said to be unknown.
    assert "discarded" in await erp("events", "discard", second, *mine, "--reason", "Once more", code=1)
    assert "at `$.reason`" in await erp("events", "retry", second, *mine, "--reason", "x", code=2)
    assert "no active tenant" in await erp("events", "dead-letters", "--tenant", "nobody", code=2)


async def test_read_models_are_checked_rebuilt_and_told_again(
    erp: Cli,
    services: Services,
    platform: PlatformDatabase,
    database: TenantDatabase,
    tenant: Tenant,
    tables: Tables,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop = await Shop.of(tenant)
    await shop.sell()
    ride, mine = Ride(services, platform, database), ("--tenant", tenant.slug)
    await ride.follow()
    await ride.settle(tables)
    assert (await listed(erp, "projections", "check", *mine))[0]["differing"] == 0
    tables.rows("UPDATE sales_by_day SET net = net + 7 WHERE tenant_id = %(id)s", id=tenant.id)
    assert "sales_by_day" in await erp("projections", "check", *mine, code=1)

    # No worker is here: whoever waits for the end is told in time that nothing moves.
    monkeypatch.setattr(following, "_PATIENCE", 0.6)
    told = await erp("projections", "rebuild", "sales", *mine, "--reason", "A day is wrong", code=1)
    assert "generation 2 is building" in told
    assert "it has not moved for a while" in told
    assert "under-way" in await erp("projections", "rebuild", "sales", *mine, "--reason", "Impatience", code=1)
    [state] = [one for one in await listed(erp, "projections", "list", *mine) if one["projection"] == "sales"]
    assert (state["generation"], state["building"]) == (1, 2)
    await in_steps(database, tenant, lambda work: read_history(work, CONSUMERS["sales"], 2))
    await ride.follow()
    await ride.settle(tables)
    await in_steps(database, tenant, lambda work: switch(work, CONSUMERS["sales"], 2), until=True)
    assert "first_difference" in await erp("projections", "check", *mine)

    assert "needs-rebuild" in await erp("events", "replay", "sales", *mine, "--reason", "It adds up", code=1)
    assert "receivables: generation" in await erp(
        "events", "replay", "receivables", *mine, "--no-wait", "--reason", "To be sure"
    )
    entries = (await tenant.get("/v1/audit-entries", target_type="projection_build"))["data"]
    assert [entry["after"]["reason"] for entry in entries] == ["To be sure", "A day is wrong"]
    assert "Invalid enum value" in await erp("events", "replay", "nobody", *mine, "--reason", "Nothing", code=2)
