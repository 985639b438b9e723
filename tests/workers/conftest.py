"""Real worker and coordinator processes on the real servers, and what a test wants to know of them."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row
from redis import Redis

from db.pool import Pool
from db.replicas import ReplicaSet
from db.statement import Bound
from deploy.local.processes import Program, Running, start
from erp.http.gate import Gate
from erp.projections.consumers import CONSUMERS
from tenancy.caller import Caller, TenantFacts
from tenancy.database import TenantDatabase
from tenancy.locks import NoLocks
from tenancy.platform import PlatformDatabase
from tenancy.reads import TenantReads
from tests.api.whole.conftest import Tenant
from tests.api.whole.conftest import gate as gate
from tests.api.whole.conftest import new_tenant as begin_tenant
from tests.api.whole.conftest import operator as operator
from tests.forked import Nursery
from tests.services import Services
from tests.standbys import catch_up
from workers.feed_repository import ENQUEUE, Fed

__all__ = ["gate", "operator"]  # fixtures of the whole application

ROOT = Path(__file__).parents[2]
FREEZING = "tests.workers.probe_coordinator"
#: Short enough for a test, long enough for two busy cores.
BRISK = {
    "ERP_WORKER_JOB_LEASE": "2",
    "ERP_WORKER_JOB_HEARTBEAT": "0.5",
    "ERP_WORKER_JOB_BACKOFF": "0.1",
    "ERP_WORKER_JOB_DRAIN": "0.5",
    "ERP_WORKER_SWEEP_POLL": "0.3",
    "ERP_WORKER_SWEEP_AFTER": "1",
    "ERP_WORKER_QUEUE_HEARTBEAT_MS": "2000",
    "ERP_WORKER_QUEUE_MAINTENANCE_CHANCE": "1000000",
    "ERP_WORKER_LEASE_TTL": "2",
    "ERP_WORKER_LEASE_RENEWAL": "0.5",
    "ERP_WORKER_LEASE_RETRY": "0.2",
    "ERP_INSTANCE_HEARTBEAT": "0.5",
    "ERP_INSTANCE_DEAD_AFTER": "4",
}


class Processes:
    """Worker and coordinator processes of one test; whatever still runs at its end is removed."""

    def __init__(self, services: Services, folder: Path, nursery: Nursery) -> None:
        self._services = services
        self._nursery = nursery
        self._folder = folder
        self._running: list[Running] = []

    def worker(
        self,
        queue: str = "default",
        *,
        threads: int = 4,
        settings: dict[str, str] = BRISK,
        module: str = "tests.workers.probe_worker",
    ) -> Running:
        """One that knows the probes."""
        command = (
            sys.executable, "-m", "dramatiq", module, "--queues", queue, "--processes", "1",
            "--threads", str(threads), "--worker-shutdown-timeout", "10000", "--skip-logging",
        )  # fmt: skip
        return self._start(f"worker-{queue}", "worker", command, settings)

    def real_worker(self, queue: str) -> Running:
        """One that knows the product's jobs."""
        return self.worker(queue, module="workers.main")

    def coordinator(self, settings: dict[str, str] = BRISK, module: str = "workers.coordinator") -> Running:
        return self._start("coordinator", "coordinator", (sys.executable, "-m", module), settings)

    def run(self, *command: str) -> Running:
        return self._start(command[1].rpartition(".")[2], "tool", (sys.executable, *command), BRISK)

    async def doomed(
        self, tables: "Tables", tenant_id: str, kind: str, *, commit: int, when: str, **more: Any
    ) -> Any:
        """The tenant's job of that kind, whose worker was killed at that commit (see `tests.workers.dying_job`) and
        whose lease has ended since; its id."""
        [row] = tables.rows(
            "SELECT id FROM jobs WHERE tenant_id = %(id)s AND kind = %(kind)s AND phase = 'unfinished'",
            id=tenant_id, kind=kind,
        )  # fmt: skip
        told = json.dumps({"tenant": tenant_id, "job": str(row["id"]), "commit": commit, "when": when, **more})
        worker = self.run("-m", "tests.workers.dying_job", told)
        assert await asyncio.to_thread(worker.process.wait, 60) == -signal.SIGKILL, self.log()
        await tables.until(
            "SELECT lease_until IS NULL OR lease_until < now() FROM jobs WHERE id = %(id)s", id=row["id"]
        )
        return row["id"]

    def log(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self._folder.glob("*.log")))

    def end(self) -> None:
        for running in self._running:
            running.sweep()

    def _start(self, name: str, role: str, command: tuple[str, ...], settings: dict[str, str]) -> Running:
        number = len(self._running) + 1
        environment = self._services.environment(f"{name}-{number}", role) | settings
        environment |= {"ERP_LOG_LEVEL": "INFO", "ERP_POOL_SIZE": "6", "PYTHONUNBUFFERED": "1"}
        log = self._folder / f"{number}-{name}.log"
        program = Program(f"{name}-{number}", command, log, ROOT, environment)
        # What freezes itself is nobody's child but ours.
        running = start(program) if command[-1] == FREEZING else self._nursery.start(program)
        self._running.append(running)
        return running


def signal_group(running: Running, number: signal.Signals) -> None:
    """To the process and everything it forked, as `kill` of a container does."""
    os.killpg(running.pid, number)


@pytest.fixture
def processes(services: Services, tmp_path: Path, clean: None, nursery: Nursery) -> Iterator[Processes]:
    found = Processes(services, tmp_path, nursery)
    yield found
    found.end()


class Tables:
    """Looks at the tables as the superuser: what is true, whatever the processes think."""

    def __init__(self, dsn: str) -> None:
        self._connection = psycopg.connect(dsn, autocommit=True, row_factory=dict_row)

    def rows(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        cursor = self._connection.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else []

    def value(self, sql: str, **parameters: Any) -> Any:
        [row] = self.rows(sql, **parameters)
        [value] = row.values()
        return value

    def job(self, job_id: uuid.UUID) -> dict[str, Any]:
        [row] = self.rows("SELECT * FROM jobs WHERE id = %(id)s", id=job_id)
        return row

    def effects(self, job_id: uuid.UUID, phase: str = "effect") -> list[dict[str, Any]]:
        query = "SELECT * FROM test_effects WHERE job_id = %(id)s AND phase = %(phase)s ORDER BY at"
        return self.rows(query, id=job_id, phase=phase)

    async def until(self, sql: str, seconds: float = 20.0, **parameters: Any) -> float:
        """Ask until the answer is true; the seconds it took."""
        begun = time.monotonic()
        while not self.value(sql, **parameters):
            if time.monotonic() - begun > seconds:
                raise AssertionError(f"not within {seconds:g} s: {sql} {parameters}")
            await asyncio.sleep(0.05)
        return time.monotonic() - begun

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def tables(services: Services) -> Iterator[Tables]:
    found = Tables(services.superuser_url)
    found.rows(
        "CREATE TABLE IF NOT EXISTS test_effects (tenant_id uuid NOT NULL, id uuid NOT NULL, job_id uuid NOT NULL,"
        " phase text NOT NULL, attempt integer NOT NULL, pid integer NOT NULL,"
        " at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (tenant_id, id))"
    )
    fence = "tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)"
    found.rows("ALTER TABLE test_effects ENABLE ROW LEVEL SECURITY")
    found.rows("ALTER TABLE test_effects FORCE ROW LEVEL SECURITY")
    found.rows("DROP POLICY IF EXISTS tenant_fence ON test_effects")
    found.rows(f"CREATE POLICY tenant_fence ON test_effects TO erp_app USING ({fence}) WITH CHECK ({fence})")
    found.rows("GRANT SELECT, INSERT ON test_effects TO erp_app")
    yield found
    found.close()


@pytest.fixture
def queue_redis(services: Services) -> Iterator[Redis]:
    client = Redis.from_url(services.redis_queue_url)
    yield client
    client.close()


#: Every consumer of the bus has confirmed what is there.
CONFIRM_ALL = (
    "INSERT INTO event_consumers (name, xid) SELECT name, pg_snapshot_xmin(pg_current_snapshot())"
    " FROM unnest(%(names)s::text[]) AS name ON CONFLICT (name) DO UPDATE SET xid = excluded.xid, position = 0"
)


@dataclass(frozen=True)
class Onlooker(Tenant):
    """A tenant who looks at what jobs have written: the standbys must have replayed it by then."""

    services: Services

    async def get(self, path: str, expect: int = 200, **parameters: str) -> Any:
        await asyncio.to_thread(catch_up, self.services)
        return await super().get(path, expect, **parameters)


@pytest.fixture
async def new_tenant(
    gate: Gate, operator: httpx.AsyncClient, services: Services
) -> AsyncIterator[Callable[..., Awaitable[Tenant]]]:
    """Makes tenants; their clients are closed with the test."""
    made: list[Tenant] = []

    async def make(**fields: Any) -> Tenant:
        one = await begin_tenant(gate, operator, **fields)
        made.append(one)
        return Onlooker(one.id, one.slug, one.key, one.client, services)

    yield make
    for one in made:
        await one.client.aclose()


@pytest.fixture
def clean(tables: Tables, queue_redis: Redis) -> None:
    """No job, no unpublished event, no lead, no message of an earlier test."""
    emptied = False
    while not emptied:
        # The last transaction of a process that was killed may still be ending, and hold two of them.
        with contextlib.suppress(psycopg.errors.DeadlockDetected):
            tables.rows(
                "TRUNCATE outbox, jobs, job_rows, operation_log, cron_runs, leases, test_effects, system_schedules"
            )
            tables.rows("UPDATE schedules SET enabled = false, next_at = NULL")
            # What earlier tests left to the consumers of events is history: else every coordinator begins with it.
            tables.rows(CONFIRM_ALL, names=list(CONSUMERS))
            emptied = True
    queue_redis.flushdb()


@pytest.fixture
async def platform(services: Services) -> AsyncIterator[PlatformDatabase]:
    pool = Pool(services.platform_url, name="platform", size=8, prepared=services.prepared_statements)
    await pool.open()
    yield PlatformDatabase(pool)
    await pool.close()


@pytest.fixture
async def database(services: Services) -> AsyncIterator[TenantDatabase]:
    pool = Pool(services.app_url, name="primary", size=10, prepared=services.prepared_statements)
    await pool.open()
    yield TenantDatabase(pool, locks=NoLocks(), reads=TenantReads(pool, ReplicaSet([], pool)))
    await pool.close()


def feeding(room: Mapping[str, int], lanes: int = 1_000, after: uuid.UUID = uuid.UUID(int=0)) -> Bound[Fed]:
    """One turn of the dispatcher with that room in each queue, nobody having a cap."""
    return ENQUEUE(
        queues=list(room), at_mosts=list(room.values()), caps=[0] * len(room), afters=[after] * len(room),
        shares=[0] * len(room), short_queues=[], short_tenants=[], lanes=lanes, capped_queues=[], capped_tenants=[],
        own_caps=[],
    )  # fmt: skip


Newcomer = Callable[..., Caller]


@pytest.fixture
def newcomer(tables: Tables) -> Newcomer:
    """Creates a bare tenant (its row only) and returns its owner."""

    def create(time_zone: str = "UTC", state: str = "active") -> Caller:
        tenant_id = uuid.uuid4()
        slug = f"t-{tenant_id.hex[:12]}"
        tables.rows(
            "INSERT INTO tenants (tenant_id, slug, name, state, base_currency, country, time_zone)"
            " VALUES (%(id)s, %(slug)s, 'Bare', %(state)s, 'GBP', 'GB', %(zone)s)",
            id=tenant_id, slug=slug, state=state, zone=time_zone,
        )  # fmt: skip
        facts = TenantFacts(tenant_id, slug, "Bare", state, "GBP", "GB", time_zone)
        everything = frozenset({"*:*"})
        return Caller(facts, uuid.uuid4(), "api_key", "owner", "owner", everything, correlation_id="test-run-1")

    return create


Enqueue = Callable[..., Awaitable[uuid.UUID]]


@pytest.fixture
def enqueue(database: TenantDatabase) -> Enqueue:
    """Leaves a job as a command would."""

    async def add(caller: Caller, kind: str, payload: dict[str, Any] | None = None, **options: Any) -> uuid.UUID:
        async def command(work: Any) -> uuid.UUID:
            job_id: uuid.UUID = work.enqueue(kind, payload or {}, **options)
            return job_id

        return (await database.run(caller, command)).value

    return add
