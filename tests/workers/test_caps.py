"""No tenant runs more jobs at a time than its cap says: across workers, also when some of them die."""

import asyncio
import signal
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from fleet.configuration.snapshot import SYSTEM, Configuration, Snapshot, retire, use
from tenancy.caller import Caller
from tenancy.database import TenantDatabase
from tenancy.metering import Metering
from tenancy.placement import Platforms
from tenancy.platform import PlatformDatabase
from tests.api.whole.conftest import Newcomer as NewTenant
from tests.services import Services
from tests.workers.conftest import Enqueue, Newcomer, Processes, Tables, signal_group
from workers.broker import JobBroker
from workers.caps import RunningCaps
from workers.claim import Claim, TenantRow
from workers.context import JobContext
from workers.dispatch import Dispatcher
from workers.heart import Heart
from workers.kinds import JobKind, by_name
from workers.repository import CLAIM, CLAIM_BELOW_CAP
from workers.runner import Runner
from workers.settings import WorkerSettings

SETTINGS = WorkerSettings(job_lease=5.0)
KEY = "jobs.max_running.default"

Configure = Callable[..., None]


@pytest.fixture
def configure() -> Iterator[Configure]:
    """What this process works with: `configure(system=2)`, `configure({tenant_id: 1}, system=2)`."""
    configuration = Configuration()
    use(configuration)

    def apply(own: dict[uuid.UUID, int] | None = None, system: int = 0) -> None:
        caps = {SYSTEM: system} | (own or {})
        configuration.apply(Snapshot(values={(scope, KEY): cap for scope, cap in caps.items()}))

    yield apply
    retire(configuration)


class Crowd:
    """A kind of job that counts how many of it run at a time."""

    def __init__(self) -> None:
        self.most = 0
        self._now = 0
        self.kinds = by_name([JobKind("probe.crowd", self.run)])

    async def run(self, context: JobContext) -> None:
        self._now += 1
        self.most = max(self.most, self._now)
        await asyncio.sleep(0.05)
        self._now -= 1


class CountsInMemory(Runner):
    """The planted bug: a worker that counts its own jobs only."""

    held = 0

    async def _claim(self, tenant_id: uuid.UUID, job_id: uuid.UUID) -> list[tuple[Claim, TenantRow]]:
        if self.held >= RunningCaps().of_tenant(tenant_id)["default"]:
            return []
        self.held += 1
        lease = timedelta(seconds=5)
        [claimed] = await self._patiently(CLAIM(tenant=tenant_id, job_id=job_id, kinds=["probe.crowd"], lease=lease))
        return claimed


class TakesNoTurn(Runner):
    """The planted bug: counted in the database, but several at once."""

    async def _claim(self, tenant_id: uuid.UUID, job_id: uuid.UUID) -> list[tuple[Claim, TenantRow]]:
        caps = RunningCaps().of_tenant(tenant_id)
        claim = CLAIM_BELOW_CAP(
            tenant=tenant_id, job_id=job_id, kinds=["probe.crowd"], lease=timedelta(seconds=5), queues=list(caps),
            caps=list(caps.values()),
        )  # fmt: skip
        [claimed] = await self._patiently(claim)
        return claimed


class Rivals:
    """Workers that take the same jobs at the same moment."""

    def __init__(self, platform: PlatformDatabase, database: TenantDatabase, enqueue: Enqueue) -> None:
        self._platform, self._database, self._enqueue = platform, database, enqueue

    async def most_at_a_time(self, caller: Caller, kind_of_runner: type[Runner] = Runner, together: int = 1) -> int:
        """Jobs that ran at the same moment, of eight in messages of so many."""
        crowd = Crowd()
        runners = [
            kind_of_runner(
                self._platform,
                self._database,
                Heart(self._platform, lease=5.0, interval=1.0),
                crowd.kinds,
                SETTINGS,
                Metering(Platforms(self._platform, {})),
            )
            for _ in range(4)
        ]
        jobs = [await self._enqueue(caller, "probe.crowd") for _ in range(8)]
        bundles = [jobs[at : at + together] for at in range(0, len(jobs), together)]
        await asyncio.gather(*(runners[n % 4].run(caller.tenant.id, *jobs) for n, jobs in enumerate(bundles)))
        return crowd.most


@pytest.fixture
def rivals(platform: PlatformDatabase, database: TenantDatabase, enqueue: Enqueue) -> Rivals:
    return Rivals(platform, database, enqueue)


async def test_rival_claims_stay_below_the_cap(
    clean: None, rivals: Rivals, newcomer: Newcomer, configure: Configure, tables: Tables
) -> None:
    configure(system=2)
    assert await rivals.most_at_a_time(newcomer()) == 2
    # The others are neither lost nor failed: they wait for a message again.
    left = tables.rows("SELECT state, attempts, enqueued_at FROM jobs WHERE state <> 'done'")
    assert len(left) == 6
    assert {tuple(row.values()) for row in left} == {("queued", 0, None)}


async def test_a_tenants_own_cap_lowers_the_systems_and_does_not_raise_it(
    clean: None, rivals: Rivals, newcomer: Newcomer, configure: Configure
) -> None:
    modest, greedy, other = newcomer(), newcomer(), newcomer()
    configure({modest.tenant.id: 1, greedy.tenant.id: 50}, system=2)
    assert await rivals.most_at_a_time(modest) == 1
    assert await rivals.most_at_a_time(greedy) == 2
    configure({modest.tenant.id: 1})
    assert await rivals.most_at_a_time(modest) == 1
    assert await rivals.most_at_a_time(other) > 2  # as many as there are


async def test_a_job_whose_lease_has_ended_holds_no_place(
    clean: None, rivals: Rivals, newcomer: Newcomer, configure: Configure, enqueue: Enqueue, tables: Tables
) -> None:
    """Its worker is gone, and nobody has noticed yet."""
    caller = newcomer()
    configure(system=1)
    lost = await enqueue(caller, "probe.crowd")
    hold = (
        "UPDATE jobs SET state = 'running', attempts = 1, enqueued_at = now(),"
        " lease_until = now() + %(left)s::interval WHERE id = %(id)s"
    )
    tables.rows(hold, id=lost, left="1 hour")
    assert await rivals.most_at_a_time(caller) == 0
    tables.rows(hold, id=lost, left="-1 second")
    assert await rivals.most_at_a_time(caller) == 1


async def test_jobs_that_share_a_message_stay_below_the_cap(
    clean: None, rivals: Rivals, newcomer: Newcomer, configure: Configure
) -> None:
    assert await rivals.most_at_a_time(newcomer(), together=4) == 8
    configure(system=2)
    assert await rivals.most_at_a_time(newcomer(), together=4) == 2


@pytest.mark.parametrize("careless", [CountsInMemory, TakesNoTurn])
async def test_a_cap_counted_otherwise_would_be_passed(
    clean: None, rivals: Rivals, newcomer: Newcomer, configure: Configure, careless: type[Runner]
) -> None:
    configure(system=1)
    for _ in range(30):  # a race: not every try is lost
        if await rivals.most_at_a_time(newcomer(), careless) > 1:
            return
    raise AssertionError("the cap held without what is to keep it")


async def test_a_tenant_at_its_cap_gets_no_messages_and_keeps_no_other_from_them(
    services: Services,
    platform: PlatformDatabase,
    clean: None,
    newcomer: Newcomer,
    enqueue: Enqueue,
    configure: Configure,
    tables: Tables,
) -> None:
    capped, other = newcomer(), newcomer()
    configure({capped.tenant.id: 2}, system=3)
    for caller in (capped, other):
        for _ in range(6):
            await enqueue(caller, "probe.quick")
    dispatcher = Dispatcher(platform, JobBroker(services.redis_queue_url, SETTINGS), SETTINGS)
    for _ in range(3):
        await dispatcher.enqueue()
        dispatcher._broker.client.delete("dramatiq:default")  # taken, and running by now
        tables.rows(
            "UPDATE jobs SET state = 'running', lease_until = now() + interval '1 hour' WHERE enqueued_at IS NOT NULL"
        )
    sent = "SELECT count(*) FROM jobs WHERE enqueued_at IS NOT NULL AND tenant_id = %(id)s"
    assert tables.value(sent, id=capped.tenant.id) == 2
    assert tables.value(sent, id=other.tenant.id) == 3


async def test_a_killed_worker_keeps_no_place(processes: Processes, tables: Tables, new_tenant: NewTenant) -> None:
    """Two workers of four threads, a cap of two that the tenant set itself, and a worker killed with both places."""
    tenant = await new_tenant()
    wanted: Any = {"settings": [{"key": KEY, "value": 2}], "reason": "Leave room for others"}
    assert (await tenant.client.post("/v1/configuration/changes", json=wanted)).status_code == 200
    tables.rows(
        "INSERT INTO jobs (tenant_id, id, queue, kind, payload) SELECT %(tenant)s, gen_random_uuid(), 'default',"
        " 'probe.slow', '{\"seconds\": 0.2}' FROM generate_series(1, 20)", tenant=tenant.id,
    )  # fmt: skip
    processes.coordinator()
    doomed = processes.worker()
    await tables.until("SELECT count(*) = 2 FROM jobs WHERE state = 'running'")
    signal_group(doomed, signal.SIGKILL)
    processes.worker()
    processes.worker()
    await tables.until("SELECT count(*) = 20 FROM jobs WHERE state = 'done'", seconds=60)
    assert _most_at_a_time(tables) == 2
    jobs = tables.rows("SELECT id FROM jobs WHERE kind = 'probe.slow'")
    assert all(len(tables.effects(row["id"])) == 1 for row in jobs)


def _most_at_a_time(tables: Tables) -> int:
    """By what the jobs themselves noted: from the start of the attempt that finished until its effect."""
    spans = tables.rows(
        "SELECT s.at AS begun, e.at AS ended FROM test_effects e JOIN test_effects s"
        " ON s.job_id = e.job_id AND s.attempt = e.attempt AND s.phase = 'started' WHERE e.phase = 'effect'"
    )
    assert len(spans) == 20
    return int(max(sum(one["begun"] <= other["begun"] < one["ended"] for one in spans) for other in spans))
