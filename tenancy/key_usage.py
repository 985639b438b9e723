"""When each API key was last used: noted in memory, written now and then, never while a request waits.

Approximate on purpose. A key is written at most once a minute, over all instances; a key whose row somebody
holds is left for the next minute; and what a process had not written when it died is lost.
"""

import asyncio
import contextlib
import logging
import time
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import DateTime, Interval, Uuid, bindparam, cast, or_, select, update

from db.clock import clock
from db.errors import DomainError
from db.pool import Pool, flush
from db.statement import TENANT, Bound, Statement, rows_of
from db.two_phase import MAIN
from tenancy.api_keys import api_keys
from tenancy.caller import Caller
from tenancy.work import Bounds, scoped, settings_of

logger = logging.getLogger(__name__)

_noted = rows_of(ids=Uuid, moments=DateTime(timezone=True))
#: Locked in the order of their ids; a row that is held already is nobody to wait for.
_due = (
    select(api_keys.c.id, _noted.c.moments)
    .join_from(api_keys, _noted, api_keys.c.id == _noted.c.ids)
    .where(
        api_keys.c.tenant_id == TENANT,
        or_(
            api_keys.c.last_used_at.is_(None),
            api_keys.c.last_used_at <= _noted.c.moments - cast(bindparam("interval"), Interval),
        ),
    )
    .order_by(api_keys.c.id)
    .with_for_update(of=api_keys, key_share=True, skip_locked=True)
    .cte("due")
)
#: The version stays: nobody decides by this column, so no If-Match may fail for it.
USED: Statement[tuple[()]] = Statement(
    update(api_keys)
    .where(api_keys.c.tenant_id == TENANT, api_keys.c.id == _due.c.id)
    .values(last_used_at=_due.c.moments)
)
#: Worth no wait for a standby.
_AT_EASE: Bound[Any] = Bound("SELECT set_config('synchronous_commit', 'off', true)", {})


class KeyUsage:
    """`note` costs a look into a dictionary; a task of its own writes every `pause` seconds what was noted.

    At most `capacity` keys are kept in mind; the uses of others are not recorded until there is room again.
    """

    def __init__(
        self,
        primary: Pool,
        *,
        placed: dict[str, Pool] | None = None,
        interval: float = 60.0,
        pause: float = 5.0,
        capacity: int = 50_000,
    ) -> None:
        #: Not a copy: further databases come when they are there.
        self._pools: dict[str, Pool] = {MAIN: primary} if placed is None else placed
        self._interval = interval
        self._pause = pause
        self._capacity = capacity
        #: Until when a key's further uses tell nothing new.
        self._quiet_until: dict[UUID, float] = {}
        #: Not written yet, by database and tenant, then by key.
        self._waiting: dict[tuple[str, UUID], dict[UUID, datetime]] = defaultdict(dict)
        self._task: asyncio.Task[None] | None = None

    def note(self, caller: Caller) -> None:
        """The caller's key was just used. Neither waits nor raises."""
        now = time.monotonic()
        if self._quiet_until.get(caller.principal_id, 0.0) > now or caller.kind != "api_key":
            return
        if len(self._quiet_until) >= self._capacity:
            return
        self._quiet_until[caller.principal_id] = now + self._interval
        self._waiting[caller.tenant.database, caller.tenant.id][caller.principal_id] = clock.now()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="key-usage")

    async def close(self) -> None:
        """Stop, and write what is still noted if that is quickly done."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                await self.flush()

    async def flush(self) -> None:
        """Write what is noted, tenant by tenant; what could not be written stays noted."""
        now = time.monotonic()
        for key_id in [key_id for key_id, until in self._quiet_until.items() if until <= now]:
            del self._quiet_until[key_id]
        absent: set[str] = set()
        for tenant in list(self._waiting):
            if tenant[0] in absent or tenant[0] not in self._pools:
                continue
            uses = self._waiting.pop(tenant)
            try:
                await self._write(*tenant, uses)
            except BaseException as error:
                # Behind the others, so that one tenant's trouble is not everybody's.
                self._waiting[tenant] = uses | self._waiting.pop(tenant, {})
                if isinstance(error, DomainError | psycopg.Error | OSError):
                    logger.debug("uses of API keys are written later: %s", type(error).__name__)
                    absent.add(tenant[0])
                    continue
                raise

    async def _write(self, database: str, tenant_id: UUID, uses: Mapping[UUID, datetime]) -> None:
        ids = sorted(uses)
        used = USED(ids=ids, moments=[uses[key_id] for key_id in ids], interval=timedelta(seconds=self._interval))
        async with self._pools[database].connection() as connection:
            # Without BEGIN a flush is one transaction up to its end.
            await flush(connection, [settings_of(tenant_id, Bounds()), _AT_EASE, scoped(used, tenant_id)])

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._pause)
            await self.flush()
