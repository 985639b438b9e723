"""Running what the clock asked for in this process: the jobs of a tenant, with the product's own handlers."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tenancy.database import TenantDatabase
from tenancy.metering import Metering
from tenancy.placement import Platforms
from tenancy.platform import PlatformDatabase
from tests.api.whole.conftest import Tenant
from tests.workers.conftest import Tables
from workers.actors import KINDS
from workers.heart import Heart
from workers.runner import Runner
from workers.settings import WorkerSettings
from workers.tenant_schedules import TenantSchedules

SETTINGS = WorkerSettings(job_lease=30.0, job_heartbeat=5.0, job_backoff=0.01)


class Clockwork:
    """A scheduler and a runner without their processes."""

    def __init__(self, platform: PlatformDatabase, database: TenantDatabase, tables: Tables) -> None:
        heart = Heart(platform, lease=SETTINGS.job_lease, interval=SETTINGS.job_heartbeat)
        self.runner = Runner(platform, database, heart, KINDS, SETTINGS, Metering(Platforms(platform, {})))
        self.schedules = TenantSchedules(platform)
        self._tables = tables

    async def strike(self, schedule_id: str, ago: timedelta = timedelta(hours=1)) -> datetime:
        """As if the schedule's moment had come so long ago; that moment."""
        slot = datetime.now(UTC).replace(microsecond=0, second=0) - ago
        self._tables.rows(
            "UPDATE schedules SET cron = %(cron)s, time_zone = 'UTC', next_at = %(slot)s, settled_to = %(before)s"
            " WHERE id = %(id)s",
            id=schedule_id, slot=slot, before=slot - timedelta(minutes=1),
            cron=f"{slot.minute} {slot.hour} {slot.day} * *",
        )  # fmt: skip
        await self.schedules.tick()
        return slot

    async def work(self, tenant: Tenant) -> list[dict[str, Any]]:
        """Run the tenant's queued jobs, several at once; the jobs as they are then."""
        waiting = "SELECT id FROM jobs WHERE tenant_id = %(id)s AND state = 'queued'"
        ids = [row["id"] for row in self._tables.rows(waiting, id=tenant.id)]
        await asyncio.gather(*(self.runner.run(uuid.UUID(tenant.id), job_id) for job_id in ids))
        return self._tables.rows("SELECT * FROM jobs WHERE id = ANY(%(ids)s) ORDER BY created_at, id", ids=ids)


@pytest.fixture
def clockwork(platform: PlatformDatabase, database: TenantDatabase, tables: Tables, clean: None) -> Clockwork:
    return Clockwork(platform, database, tables)
