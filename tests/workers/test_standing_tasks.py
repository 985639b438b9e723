"""What the system does for tenants that have made no schedule for it, and not for those that have decided."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx

from erp.closing.keys import MONTHLY
from erp.reordering.keys import NIGHTLY
from fleet.configuration.snapshot import current
from tenancy.platform import PlatformDatabase
from tests.api.whole.conftest import Newcomer as NewTenant
from tests.api.whole.conftest import Tenant
from tests.configuration.conftest import until
from tests.workers.clockwork import Clockwork
from tests.workers.clockwork import clockwork as clockwork
from tests.workers.conftest import Tables
from tests.workers.test_reordering import proposals, rule
from workers.lease import Lease
from workers.schedule import TASKS, Schedule


async def run_by_hand(platform: PlatformDatabase, operator: httpx.AsyncClient, name: str) -> None:
    lease = Lease(platform, "coordinator", "me", ttl=60)
    assert await lease.take()
    tasks = tuple(task for task in TASKS if task.name == name)
    await Schedule(platform, lease, tasks).register()
    assert (await operator.post(f"/v1/system-schedules/{name}/run")).status_code == 202
    await Schedule(platform, lease, tasks).tick()


async def switch_off(tenant: Tenant, key: Any) -> None:
    body = {"settings": [{"key": key.name, "value": False}], "reason": "We look ourselves"}
    await tenant.post("/v1/configuration/changes", body, 200)
    await until(lambda: not current().get(key, UUID(tenant.id)), 10.0)


def asked(tables: Tables, kind: str) -> set[str]:
    return {str(row["tenant_id"]) for row in tables.rows("SELECT tenant_id FROM jobs WHERE kind = %(k)s", k=kind)}


async def test_rules_are_looked_at_every_night_where_nobody_has_decided(
    platform: PlatformDatabase,
    operator: httpx.AsyncClient,
    new_tenant: NewTenant,
    clockwork: Clockwork,
    tables: Tables,
) -> None:
    plain, switched_off, scheduled = [await new_tenant() for _ in range(3)]
    for tenant in (plain, switched_off, scheduled):
        await rule(tenant)
        await clockwork.work(tenant)
    await switch_off(switched_off, NIGHTLY)
    mine = {"name": "Mine", "kind": "reorder", "cron": "0 3 * * *", "enabled": False}
    await scheduled.make("schedules", **mine)

    await run_by_hand(platform, operator, "nightly_reorder")
    assert plain.id in asked(tables, "nightly_reorder")
    assert scheduled.id not in asked(tables, "nightly_reorder")
    for tenant in (plain, switched_off):
        states = {job["state"] for job in await clockwork.work(tenant)}
        assert states == {"done"}
    assert [len(await proposals(tenant)) for tenant in (plain, switched_off, scheduled)] == [1, 0, 0]


async def test_the_ended_month_is_looked_at_once_where_nobody_has_decided(
    platform: PlatformDatabase,
    operator: httpx.AsyncClient,
    new_tenant: NewTenant,
    clockwork: Clockwork,
    tables: Tables,
) -> None:
    plain, switched_off, scheduled = [await new_tenant(time_zone="UTC") for _ in range(3)]
    await switch_off(switched_off, MONTHLY)
    await scheduled.make("schedules", name="Mine", kind="period_pre_close", cron="0 7 2 * *")
    await run_by_hand(platform, operator, "monthly_period_check")
    assert scheduled.id not in asked(tables, "monthly_period_check")
    for tenant in (plain, switched_off):
        [job] = await clockwork.work(tenant)
        assert job["state"] == "done", job["error_detail"]
    present = datetime.now(UTC).date().replace(day=1).isoformat()
    periods = (await plain.get("/v1/periods", limit="200"))["data"]
    ended = max((one for one in periods if one["end_date"] < present), key=lambda one: one["end_date"], default=None)
    checks = (await plain.get("/v1/period-checks"))["data"]
    assert [one["period_id"] for one in checks] == ([ended["id"]] if ended else [])
    assert (await switched_off.get("/v1/period-checks"))["data"] == []
