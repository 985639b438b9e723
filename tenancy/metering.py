"""What each tenant uses: counted in memory, written as sums every few seconds, compared with its quotas in memory.

A request costs a look into a dictionary and no round trip. Approximate on purpose: the quotas of a month hold to
within what all processes count between two writes; a process that dies loses its last interval, and a write whose
answer is lost is written again.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from sqlalchemy import BigInteger, Column, Date, DateTime, Table, Uuid, cast, func, select
from sqlalchemy.dialects.postgresql import insert

from db.errors import DomainError
from db.metadata import metadata
from db.statement import Statement, rows_of
from fleet.metrics import metering_writes_total, quota_refusals_total
from tenancy.caller import TenantFacts
from tenancy.placement import Platforms
from tenancy.platform import PlatformDatabase
from tenancy.quotas import QuotaExceeded, RequestQuotaExceeded

logger = logging.getLogger(__name__)

usage_months = Table(
    "usage_months", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("month", Date, primary_key=True),
    Column("requests", BigInteger),
    Column("job_ms", BigInteger),
    Column("rows", BigInteger),
    Column("storage_bytes", BigInteger),
    Column("measured_at", DateTime(timezone=True)),
)  # fmt: skip

#: The present month's first day, as all of us count it.
THIS_MONTH: Final = cast(func.date_trunc("month", func.timezone("UTC", func.now())), Date)


class Total(NamedTuple):
    """A tenant's month over all processes, and what it may use."""

    tenant_id: UUID
    requests: int
    job_ms: int
    rows: int | None
    storage_bytes: int | None
    quotas: dict[str, int | None] | None


_counted = rows_of(ids=Uuid, requests=BigInteger, spent_ms=BigInteger)
#: Written in one order by every process, so that none waits for another in a circle.
_write = insert(usage_months).from_select(
    ["tenant_id", "month", "requests", "job_ms"],
    select(_counted.c.ids, THIS_MONTH, _counted.c.requests, _counted.c.spent_ms).order_by(_counted.c.ids),
)
WRITE_USAGE: Statement[Total] = Statement(
    _write.on_conflict_do_update(
        index_elements=["tenant_id", "month"],
        set_={
            "requests": usage_months.c.requests + _write.excluded.requests,
            "job_ms": usage_months.c.job_ms + _write.excluded.job_ms,
        },
    ).returning(
        usage_months.c.tenant_id, usage_months.c.requests, usage_months.c.job_ms, usage_months.c.rows,
        usage_months.c.storage_bytes, func.quotas_of(usage_months.c.tenant_id),
    ),
    Total,
)  # fmt: skip


class _Meter:
    """One tenant as this process knows it. `left`: requests it may count before the next write tells more."""

    __slots__ = ("allowed", "database", "job_ms", "left", "over", "requests")

    def __init__(self, database: str) -> None:
        self.database = database
        self.requests, self.job_ms = 0, 0
        self.left = math.inf
        self.allowed: int | None = None
        #: The used-up quota that keeps streams and imports out.
        self.over: str | None = None

    @property
    def changed(self) -> bool:
        """Whether there is something to write, or a refusal that may have come to its end."""
        return self.requests > 0 or self.job_ms > 0 or self.left <= 0 or self.over is not None


class Metering:
    """Counts for one process. `interval`: seconds between two writes. At most `capacity` tenants are kept in mind;
    the requests of others are let through uncounted until there is room again.
    """

    def __init__(self, platforms: Platforms, *, interval: float = 5.0, capacity: int = 50_000) -> None:
        self._platforms = platforms
        self._interval = interval
        self._capacity = capacity
        self._meters: dict[UUID, _Meter] = {}
        self._writing = asyncio.Lock()
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def request(self, tenant: TenantFacts, *, refuse: bool = True) -> None:
        """Count one. Raises RequestQuotaExceeded, then it is not counted."""
        meter = self._meters.get(tenant.id) or self._meter(tenant)
        if meter.left <= 0 and refuse:
            quota_refusals_total.at("requests_per_month").inc()
            raise RequestQuotaExceeded(
                f"The {meter.allowed} requests of this month are used up.", retry_after=_seconds_to_next_month(),
                quota="requests_per_month", allowed=meter.allowed,
            )  # fmt: skip
        meter.requests += 1
        meter.left -= 1

    def job(self, tenant: TenantFacts, seconds: float) -> None:
        """A worker was busy with the tenant's job for so long."""
        meter = self._meters.get(tenant.id) or self._meter(tenant)
        meter.job_ms += round(seconds * 1000)

    def require_room(self, tenant: TenantFacts) -> None:
        """For streams and imports. Raises QuotaExceeded while rows, storage or job seconds are used up."""
        meter = self._meters.get(tenant.id)
        if meter is not None and meter.over is not None:
            quota_refusals_total.at(meter.over).inc()
            raise QuotaExceeded(f"The tenant's quota `{meter.over}` is used up.", quota=meter.over)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="metering")

    async def close(self) -> None:
        """Write what is still counted if that is quickly done, and stop. A write under way is not broken off:
        it would be made again."""
        self._ending.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                if self._task is not None:
                    await self._task
                await self.flush()

    async def flush(self) -> None:
        """Write what was counted, a statement per database; what could not be written stays counted."""
        async with self._writing:
            for name, platform in self._platforms.all.items():
                await self._write(name, platform)
            self._forget_idle()

    async def _write(self, database: str, platform: PlatformDatabase) -> None:
        due = {id_: meter for id_, meter in self._meters.items() if meter.database == database and meter.changed}
        if not due:
            return
        sent = {id_: (meter.requests, meter.job_ms) for id_, meter in due.items()}
        try:
            [totals] = await platform.ask(_written(sent))
        except (DomainError, psycopg.Error, OSError, TimeoutError) as error:
            metering_writes_total.at("failed").inc()
            logger.debug("usage is written later: %s", type(error).__name__)
            return
        metering_writes_total.at("written").inc()
        self._settle(sent, totals)

    def _settle(self, sent: dict[UUID, tuple[int, int]], totals: Iterable[Total]) -> None:
        for total in totals:
            meter = self._meters[total.tenant_id]
            requests, job_ms = sent[total.tenant_id]
            meter.requests -= requests
            meter.job_ms -= job_ms
            quotas = total.quotas or {}
            meter.allowed = quotas.get("requests_per_month")
            meter.left = math.inf if meter.allowed is None else meter.allowed - total.requests - meter.requests
            meter.over = over(total, quotas)

    def _forget_idle(self) -> None:
        """Beyond the capacity, whoever has nothing to write and nothing to be refused makes room."""
        if len(self._meters) >= self._capacity:
            self._meters = {id_: meter for id_, meter in self._meters.items() if meter.changed}

    def _meter(self, tenant: TenantFacts) -> _Meter:
        meter = _Meter(tenant.database)
        if len(self._meters) < self._capacity:
            self._meters[tenant.id] = meter
        return meter

    async def _run(self) -> None:
        while not self._ending.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval):
                    await self._ending.wait()
            await self.flush()


def _written(sent: dict[UUID, tuple[int, int]]) -> Any:
    return WRITE_USAGE(
        ids=list(sent), requests=[requests for requests, _ in sent.values()],
        spent_ms=[job_ms for _, job_ms in sent.values()],
    )  # fmt: skip


def over(total: Total, quotas: dict[str, int | None]) -> str | None:
    """The first used-up quota of those that are no matter of single requests."""
    used = {"job_seconds_per_month": total.job_ms / 1000, "rows": total.rows, "storage_bytes": total.storage_bytes}
    for name, amount in used.items():
        allowed = quotas.get(name)
        if allowed is not None and amount is not None and amount >= allowed:
            return name
    return None


def _seconds_to_next_month() -> int:
    now = datetime.fromtimestamp(time.time(), UTC)
    following = now.replace(year=now.year + now.month // 12, month=now.month % 12 + 1, day=1)
    return math.ceil((following.replace(hour=0, minute=0, second=0, microsecond=0) - now).total_seconds())
