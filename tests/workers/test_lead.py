"""The lead: who had it when and why it ended, handing it over, and a deposed leader whose work does not land."""

import asyncio
import signal
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import psycopg
import pytest
from redis import Redis

from db.redis import connect
from deploy.local.processes import Running
from fleet.leader.deposed import Deposed
from tenancy.platform import PlatformDatabase
from tests.instances.conftest import Fleet
from tests.services import Services
from tests.standbys import catch_up
from tests.workers.conftest import Enqueue, Newcomer, Processes, Tables, signal_group
from workers.broker import JobBroker
from workers.dispatch import Dispatcher
from workers.lease import Lease
from workers.relay import STREAM, Hold, Relay, anybody
from workers.settings import WorkerSettings

HOLDER = "SELECT count(*) = 1 FROM leases WHERE holder LIKE %(name)s AND expires_at > clock_timestamp()"
TERMS = (
    "SELECT term, holder, ended, ended_by, reason, ended_at - since AS lasted FROM lease_terms WHERE since >= %(t)s"
)

pytestmark = pytest.mark.usefixtures("clean")


def holder_of(running: Running) -> str:
    return f"{running.program.name}:%"


@pytest.fixture
def begun(tables: Tables) -> Any:
    return tables.value("SELECT clock_timestamp()")


def terms(tables: Tables, begun: Any) -> list[tuple[Any, ...]]:
    """(term, name of the holder, why it ended), the oldest first."""
    found = tables.rows(TERMS, t=begun)
    return [(row["term"], row["holder"].partition(":")[0], row["ended"]) for row in found]


async def deposed_lease(platform: PlatformDatabase, tables: Tables) -> Lease:
    """A leader that was paused past its time: it believes in its lease, and another has taken it."""
    one, other = (Lease(platform, "coordinator", f"{name}:0", ttl=30) for name in ("one", "other"))
    assert await one.take()
    tables.rows("UPDATE leases SET expires_at = clock_timestamp() - interval '1 second'")
    assert await other.take()
    assert one.held
    return one


# -- what a deposed leader does ---------------------------------------------------------------------------


Deposal = Callable[[PlatformDatabase, Tables, Redis, Services, Hold], Awaitable[None]]


async def publish(
    platform: PlatformDatabase, tables: Tables, queue_redis: Redis, services: Services, hold: Hold
) -> None:
    redis = connect(services.redis_queue_url, timeout=2.0)
    try:
        await Relay(platform, redis, hold=hold).publish()
    finally:
        await redis.aclose()


async def dispatch(
    platform: PlatformDatabase, tables: Tables, queue_redis: Redis, services: Services, hold: Hold
) -> None:
    settings = WorkerSettings()
    await Dispatcher(platform, JobBroker(services.redis_queue_url, settings), settings, hold=hold).enqueue()


async def sweep(
    platform: PlatformDatabase, tables: Tables, queue_redis: Redis, services: Services, hold: Hold
) -> None:
    settings = WorkerSettings(sweep_after=0.0)
    await Dispatcher(platform, JobBroker(services.redis_queue_url, settings), settings, hold=hold).sweep()


def work_to_do(tables: Tables, tenant: uuid.UUID) -> None:
    """An event to publish, a job to dispatch, a job whose worker is gone."""
    tables.rows(
        "INSERT INTO events (tenant_id, event_id, aggregate_type, aggregate_id, version, type, data, principal_id,"
        " correlation_id, occurred_at) VALUES (%(t)s, gen_random_uuid(), 'probe', gen_random_uuid(), 1,"
        " 'probe.happened', '{}', gen_random_uuid(), 'c', now())",
        t=tenant,
    )
    for state, lease in (("queued", None), ("running", "-1 minute")):
        tables.rows(
            "INSERT INTO jobs (tenant_id, id, kind, state, lease_until, enqueued_at, attempts)"
            " VALUES (%(t)s, gen_random_uuid(), 'probe.quick', %(s)s, now() + %(l)s::interval,"
            " CASE WHEN %(s)s = 'running' THEN now() END, 1)",
            t=tenant, s=state, l=lease,
        )  # fmt: skip


def everything(tables: Tables, queue_redis: Redis) -> tuple[Any, ...]:
    jobs = tables.rows("SELECT id, state, fence, enqueued_at IS NULL AS waits FROM jobs ORDER BY id")
    queued = queue_redis.llen("dramatiq:default")
    return tables.value("SELECT count(*) FROM outbox"), queue_redis.xlen(STREAM), queued, jobs


@pytest.mark.parametrize("act", [publish, dispatch, sweep])
async def test_a_leader_that_wakes_up_deposed_changes_nothing(
    act: Deposal,
    platform: PlatformDatabase,
    tables: Tables,
    queue_redis: Redis,
    services: Services,
    newcomer: Newcomer,
) -> None:
    work_to_do(tables, newcomer().tenant.id)
    lease = await deposed_lease(platform, tables)
    before = everything(tables, queue_redis)
    with pytest.raises(Deposed):
        await act(platform, tables, queue_redis, services, lease.hold)
    assert everything(tables, queue_redis) == before
    with pytest.raises(Deposed):
        await lease.check()


@pytest.mark.parametrize("act", [publish, dispatch, sweep])
async def test_a_leader_without_term_would_be_found(
    act: Deposal,
    platform: PlatformDatabase,
    tables: Tables,
    queue_redis: Redis,
    services: Services,
    newcomer: Newcomer,
) -> None:
    """The planted bug of the test above: nobody asks for the term where the effect lands."""
    work_to_do(tables, newcomer().tenant.id)
    await deposed_lease(platform, tables)
    before = everything(tables, queue_redis)
    await act(platform, tables, queue_redis, services, anybody)
    assert everything(tables, queue_redis) != before


async def test_nobody_takes_the_lead_between_the_look_and_the_commit(
    platform: PlatformDatabase, tables: Tables
) -> None:
    one, other = (Lease(platform, "coordinator", f"{name}:0", ttl=30) for name in ("one", "other"))
    assert await one.take()
    taking: list[asyncio.Task[bool]] = []

    async def work(session: Any) -> bool:
        await one.hold(session)
        transfer = "UPDATE leases SET expires_at = clock_timestamp()"
        taking.append(asyncio.create_task(asyncio.to_thread(tables.rows, transfer)))  # type: ignore[arg-type]
        await asyncio.sleep(0.3)
        return taking[0].done()

    assert not await platform.run(work)  # it waited for the commit
    await taking[0]
    assert await other.take()


# -- history -----------------------------------------------------------------------------------------------


async def test_every_term_leaves_a_trace_with_the_reason_of_its_end(
    platform: PlatformDatabase, tables: Tables, begun: Any
) -> None:
    one, other = (Lease(platform, "coordinator", f"{name}:0", ttl=30) for name in ("one", "other"))
    assert await one.take()
    assert await one.renew()
    await one.give_up()
    assert await other.take()
    tables.rows("UPDATE leases SET expires_at = clock_timestamp() - interval '1 second'")
    assert await other.take()  # the same holder, and another term: it was interrupted
    await other.give_up("drained")
    assert await one.take()
    assert terms(tables, begun) == [
        (1, "one", "stopped"), (2, "other", "expired"), (3, "other", "drained"), (4, "one", None),
    ]  # fmt: skip
    await other.give_up()  # of a term that is over: nothing happens
    assert terms(tables, begun)[-1] == (4, "one", None)


async def test_an_offered_lead_is_for_the_one_it_was_offered_to_until_its_time_is_over(
    platform: PlatformDatabase, tables: Tables
) -> None:
    one, two, three = (Lease(platform, "coordinator", f"{name}:0", ttl=30) for name in ("one", "two", "three"))
    assert await one.take()
    tables.rows(
        "UPDATE leases SET expires_at = clock_timestamp(), offered_to = 'two:0', withheld_from = 'one:0',"
        " offered_until = clock_timestamp() + interval '1 minute'"
    )
    assert not await one.renew()
    assert [await lease.take() for lease in (one, three, two)] == [False, False, True]
    assert tables.value("SELECT offered_until IS NULL FROM leases")
    tables.rows(
        "UPDATE leases SET expires_at = clock_timestamp(), withheld_from = 'two:0',"
        " offered_until = clock_timestamp() + interval '1 minute'"
    )
    assert not await two.take()
    tables.rows("UPDATE leases SET offered_until = clock_timestamp()")
    assert await two.take()  # nobody came: better the old one than none


# -- real processes ------------------------------------------------------------------------------------------


async def transfer(operator: httpx.AsyncClient, **body: Any) -> httpx.Response:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    return await operator.post("/v1/leader/transfer", json={"reason": "For a test", **body}, headers=headers)


async def test_of_eight_who_hand_over_the_same_term_one_does(
    platform: PlatformDatabase, tables: Tables, operator: httpx.AsyncClient, services: Services, begun: Any
) -> None:
    """All of them are held up at the same place, so that they go on together."""
    fleet = Fleet(services.redis_sessions_url)
    await fleet.join("coordinator")
    lease = Lease(platform, "coordinator", "leading:0", ttl=30)
    assert await lease.take()
    with psycopg.connect(services.superuser_url) as holding:
        holding.execute("SELECT FROM leases FOR UPDATE")
        asked = [asyncio.create_task(transfer(operator)) for _ in range(8)]
        waiting = "SELECT count(*) >= 2 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'erp_app'"
        await tables.until(waiting, seconds=10)
    answers = await asyncio.gather(*asked)
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7, [one.text for one in answers]
    assert terms(tables, begun) == [(1, "leading", "transferred")]
    assert not await lease.renew()
    await fleet.end()


async def both_ready(operator: httpx.AsyncClient, *running: Running) -> None:
    names = {one.program.name for one in running}
    async with asyncio.timeout(30):
        while True:
            found = (await operator.get("/v1/instances", params={"role": "coordinator"})).json()["data"]
            if names <= {one["name"] for one in found if one["state"] == "ready"}:
                return
            await asyncio.sleep(0.05)


async def test_the_lead_is_handed_over_and_found_out_about(
    processes: Processes, tables: Tables, operator: httpx.AsyncClient, services: Services, begun: Any
) -> None:
    first = processes.coordinator()
    await tables.until(HOLDER, name=holder_of(first))
    second = processes.coordinator()
    await both_ready(operator, first, second)

    # Eight operators at once, of one term: one of them hands it over.
    [lead, *_] = (await operator.get("/v1/leader")).json()["data"]
    assert (lead["database"], lead["held"], lead["term"]) == ("main", True, 1)
    answers = await asyncio.gather(*(transfer(operator, term=1) for _ in range(8)))
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [200] + [409] * 7, [answer.text for answer in answers]
    took = await tables.until(HOLDER, seconds=10, name=holder_of(second))
    print(f"handed over in {took:.2f} s")

    # Back to a named one; to one that leads already, to nobody's name.
    name = first.program.name
    assert (await transfer(operator, to=second.program.name)).json()["code"] == "no-other-coordinator"
    assert (await transfer(operator, to="nobody")).json()["code"] == "no-other-coordinator"
    assert (await transfer(operator, to=name, term=1)).json()["code"] == "other-leader-term"
    answer = await transfer(operator, to=name)
    assert answer.json()["offered_to"].startswith(f"{name}:")
    await tables.until(HOLDER, seconds=10, name=holder_of(first))

    # A drained coordinator gives the lead up and does not take it until it is put back.
    drained = await operator.post(f"/v1/instances/{name}/drain", json={"reason": "For a test"})
    assert drained.status_code == 200, drained.text
    await tables.until(HOLDER, seconds=10, name=holder_of(second))
    assert (await operator.post(f"/v1/instances/{name}/undrain", json={"reason": "Done"})).status_code == 200

    # Paused past its time it loses the lead, and awake again it finds that out; killed, it leaves the same trace.
    signal_group(second, signal.SIGSTOP)
    await tables.until(HOLDER, name=holder_of(first))
    signal_group(second, signal.SIGCONT)
    signal_group(first, signal.SIGKILL)
    await tables.until(HOLDER, name=holder_of(second))
    one, two = first.program.name, second.program.name
    assert terms(tables, begun) == [
        (1, one, "transferred"), (2, two, "transferred"), (3, one, "drained"), (4, two, "expired"),
        (5, one, "expired"), (6, two, None),
    ]  # fmt: skip

    catch_up(services)
    history = (await operator.get("/v1/leader/history", params={"limit": "6"})).json()["data"]
    assert [one["term"] for one in history] == [6, 5, 4, 3, 2, 1]
    assert (history[5]["ended_by"], history[5]["reason"]) == ("operator", "For a test")


async def test_processes_are_registered_drained_lost_and_back(
    processes: Processes,
    tables: Tables,
    operator: httpx.AsyncClient,
    services: Services,
    newcomer: Newcomer,
    enqueue: Enqueue,
) -> None:
    processes.coordinator()
    worker = processes.worker()
    name, caller = worker.program.name, newcomer()

    async def state(expect: str | None, seconds: float = 25.0) -> None:
        async with asyncio.timeout(seconds):
            while True:
                reply = await operator.get(f"/v1/instances/{name}")
                found = reply.json().get("state") if reply.status_code == 200 else None
                if found == expect:
                    return
                await asyncio.sleep(0.05)

    await state("ready")
    job = await enqueue(caller, "probe.quick")
    await tables.until("SELECT state = 'done' FROM jobs WHERE id = %(id)s", id=job)

    # Drained it works off what it has begun and begins nothing new.
    begun = await enqueue(caller, "probe.slow", {"seconds": 1.5})
    await tables.until("SELECT state = 'running' FROM jobs WHERE id = %(id)s", id=begun)
    answer = await operator.post(f"/v1/instances/{name}/drain", json={"reason": "A test", "force": True})
    assert (answer.json()["state"], answer.json()["jobs"]) == ("draining", 1), answer.text
    waiting = [await enqueue(caller, "probe.quick") for _ in range(8)]
    await tables.until("SELECT state = 'done' FROM jobs WHERE id = %(id)s", id=begun)
    await asyncio.sleep(1.0)  # so long it would have had for them
    held = "SELECT count(*) FROM jobs WHERE id = ANY (%(ids)s) AND state = 'queued'"
    assert tables.value(held, ids=waiting) >= 7  # one message may have been on its way to it
    assert (await operator.post(f"/v1/instances/{name}/undrain", json={"reason": "Done"})).json()["state"] == "ready"
    await tables.until("SELECT count(*) = 8 FROM jobs WHERE id = ANY (%(ids)s) AND state = 'done'", ids=waiting)

    # Redis loses everything: back with the next heartbeats. Killed: gone when its silence means death.
    redis = connect(services.redis_sessions_url, timeout=1.0)
    await redis.execute_command("FLUSHALL")  # type: ignore[no-untyped-call]
    await redis.aclose()
    await state("ready", seconds=10.0)
    found = await operator.post(f"/v1/instances/{name}/diagnostics", json={})
    assert found.status_code == 200, found.text
    signal_group(worker, signal.SIGKILL)
    await state(None)
