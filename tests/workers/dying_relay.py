"""A relay process that is killed after it has published a batch and before it has committed."""

import asyncio
import os
import signal
from collections.abc import Sequence

from db.pool import Pool
from db.redis import connect
from erp.settings import load_settings
from tenancy.platform import PlatformDatabase
from workers.event_repository import EventRow
from workers.relay import Relay


class DyingRelay(Relay):
    async def _append(self, events: Sequence[EventRow]) -> None:
        await super()._append(events)
        os.kill(os.getpid(), signal.SIGKILL)


async def main() -> None:
    settings = load_settings()
    pool = Pool(settings.platform_url, name="platform", size=2)
    await pool.open()
    await DyingRelay(PlatformDatabase(pool), connect(settings.redis_queue_url, timeout=2.0), batch=20).publish()


if __name__ == "__main__":
    asyncio.run(main())
