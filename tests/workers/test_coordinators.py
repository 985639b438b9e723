"""Two coordinators: one leads, the other takes over, and no slot of the schedule is done twice."""

import asyncio
import contextlib
import re
import signal
import urllib.request
import uuid
from pathlib import Path

from deploy.local.ports import free_port
from deploy.local.processes import Running
from tenancy.platform import PlatformDatabase, PlatformSession
from tests.workers.conftest import BRISK, Enqueue, Newcomer, Processes, Tables, signal_group
from workers.lease import Lease
from workers.schedule import Schedule, Task
from workers.schedule_repository import SlotTaken

HOLDER = "SELECT count(*) = 1 FROM leases WHERE holder LIKE %(name)s AND expires_at > clock_timestamp()"
PROBE = "tests.workers.probe_coordinator"


def holder_of(running: Running) -> str:
    return f"{running.program.name}:%"


async def two_with_a_leader(processes: Processes, tables: Tables) -> tuple[Running, Running]:
    first = processes.coordinator()
    await tables.until(HOLDER, name=holder_of(first))
    port = free_port()
    second = processes.coordinator(BRISK | {"ERP_METRICS_PORT": str(port)})
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(_waiting_for_the_lead, port):  # noqa: ASYNC110  # it is another process
            await asyncio.sleep(0.05)
    return first, second


def _waiting_for_the_lead(port: int) -> bool:
    try:
        return 'leader_election_attempts_total{outcome="refused"}' in _get(port, "/metrics")
    except OSError:
        return False


async def test_a_killed_leader_is_followed_when_its_lease_has_run_out(
    processes: Processes, tables: Tables, newcomer: Newcomer, enqueue: Enqueue
) -> None:
    processes.worker()
    first, second = await two_with_a_leader(processes, tables)
    signal_group(first, signal.SIGKILL)
    took = await tables.until(HOLDER, name=holder_of(second))
    print(f"followed after {took:.1f} s with a lease of 2 s")
    assert tables.value("SELECT term FROM leases") == 2
    job = await enqueue(newcomer(), "probe.quick")
    await tables.until("SELECT state = 'done' FROM jobs WHERE id = %(id)s", id=job)


async def test_a_stopping_leader_hands_over_at_once(processes: Processes, tables: Tables) -> None:
    first, second = await two_with_a_leader(processes, tables)
    first.ask_to_stop()
    took = await tables.until(HOLDER, seconds=5, name=holder_of(second))
    print(f"handed over in {took:.1f} s")
    assert took < 1.5  # and not the 2 s of the lease
    assert await asyncio.to_thread(first.process.wait, 10) == 0


async def frozen_leader(
    processes: Processes, tables: Tables, folder: Path, **environment: str
) -> dict[str, list[int]]:
    """Slot -> the processes that did it, with a leader that froze before its work and woke up deposed."""
    tables.rows("DELETE FROM tenants WHERE slug = 'ticking'")
    tables.rows(
        "INSERT INTO tenants (tenant_id, slug, name, base_currency, country, time_zone)"
        " VALUES (%(id)s, 'ticking', 'Ticking', 'GBP', 'GB', 'UTC')",
        id=uuid.uuid4(),
    )
    freeze = folder / "freeze"
    settings = BRISK | {"PROBE_FREEZE": str(freeze)} | environment
    first = processes.coordinator(settings, PROBE)
    await tables.until("SELECT count(*) > 1 FROM jobs WHERE kind = 'probe.tick'")
    second = processes.coordinator(settings, PROBE)
    freeze.touch()
    done = "SELECT count(*) >= %(n)s FROM jobs WHERE kind = 'probe.tick' AND (payload->>'pid')::int = %(pid)s"
    await tables.until(done, n=3, pid=second.pid)
    before = tables.value("SELECT count(*) FROM jobs WHERE kind = 'probe.tick'")
    signal_group(first, signal.SIGCONT)
    await tables.until("SELECT count(*) >= %(n)s FROM jobs WHERE kind = 'probe.tick'", n=before + 3)
    found: dict[str, list[int]] = {}
    for row in tables.rows("SELECT payload FROM jobs WHERE kind = 'probe.tick' ORDER BY created_at"):
        found.setdefault(row["payload"]["slot"], []).append(row["payload"]["pid"])
    assert {pid for pids in found.values() for pid in pids} == {first.pid, second.pid}
    return found


async def test_a_leader_that_wakes_up_deposed_does_no_slot_again(
    processes: Processes, tables: Tables, tmp_path: Path
) -> None:
    slots = await frozen_leader(processes, tables, tmp_path)
    assert {len(pids) for pids in slots.values()} == {1}


async def test_without_slot_and_term_the_deposed_leader_does_a_slot_twice(
    processes: Processes, tables: Tables, tmp_path: Path
) -> None:
    """The planted bug of the test above."""
    slots = await frozen_leader(processes, tables, tmp_path, NAIVE="1")
    assert 2 in {len(pids) for pids in slots.values()}


async def _nothing(session: PlatformSession, slot: SlotTaken) -> int:
    return 7


async def test_two_leaders_at_once_share_the_slots(platform: PlatformDatabase, tables: Tables, clean: None) -> None:
    """Even when both hold the same term."""
    lease = Lease(platform, "coordinator", "one", ttl=30)
    assert await lease.take()
    task = Task("probe.hourly", 3600.0, fill=_nothing)
    await asyncio.gather(*(Schedule(platform, lease, (task,)).tick() for _ in range(8)))
    [run] = tables.rows("SELECT * FROM cron_runs")
    assert (run["job"], run["term"], run["holder"], run["affected"]) == ("probe.hourly", 1, "one", 7)
    assert run["finished_at"] is not None


async def test_a_killed_leader_is_a_loss_the_next_leader_counts(processes: Processes, tables: Tables) -> None:
    """As with the usual times it is long gone from the list when the lead is to be had."""
    slow = BRISK | {"ERP_WORKER_LEASE_TTL": "8", "ERP_WORKER_GAUGES_POLL": "0.2"}
    port = free_port()
    leader = processes.coordinator(slow)
    await tables.until(HOLDER, name=holder_of(leader))
    killed = tables.value("SELECT holder FROM leases")
    processes.coordinator(slow | {"ERP_METRICS_PORT": str(port)})

    async def counted(least: float) -> float:
        async with asyncio.timeout(30):
            while True:
                with contextlib.suppress(OSError):
                    text = await asyncio.to_thread(_get, port, "/metrics")
                    found = re.search(r'^fleet_instances_lost_total\{role="coordinator"\} (\S+)$', text, re.MULTILINE)
                    if found and float(found[1]) >= least:
                        return float(found[1])
                await asyncio.sleep(0.05)

    before = await counted(0.0)  # the series is there while it follows, so that an alert sees the first loss
    signal_group(leader, signal.SIGKILL)

    def told() -> int:
        return sum("an instance was lost" in line and killed in line for line in processes.log().splitlines())

    async with asyncio.timeout(40):
        while not told():  # noqa: ASYNC110  # it is another process's log
            await asyncio.sleep(0.05)
    assert tables.value("SELECT holder <> %(killed)s FROM leases", killed=killed)
    assert told() == 1
    await counted(before + 1)


async def test_a_lease_changes_hands_only_when_it_has_run_out(
    platform: PlatformDatabase, tables: Tables, clean: None
) -> None:
    one, other = (Lease(platform, "coordinator", name, ttl=30) for name in ("one", "other"))
    assert await one.take()
    assert not await other.take()
    assert await one.renew()
    assert (one.term, one.held, other.held) == (1, True, False)
    tables.rows("UPDATE leases SET expires_at = now() - interval '1 second'")
    assert await other.take()
    assert other.term == 2
    assert not await one.renew()
    assert not one.held
    await one.give_up()  # of a lease that is another's by now
    assert await other.renew()
    await other.give_up()
    assert await one.take()
    assert one.term == 3


async def test_a_coordinator_answers_its_probes(processes: Processes, tables: Tables) -> None:
    port = free_port()
    leader = processes.coordinator(BRISK | {"ERP_METRICS_PORT": str(port)})
    await tables.until(HOLDER, name=holder_of(leader))
    for path in ("/health/live", "/health/ready"):
        assert await asyncio.to_thread(_get, port, path) == '{"status": "ok"}'
    text = ""
    async with asyncio.timeout(10):
        while 'queue_depth{queue="low"}' not in text:
            text = await asyncio.to_thread(_get, port, "/metrics")
            await asyncio.sleep(0.05)
    assert "\nleader 1.0" in text
    assert "\noutbox_lag_seconds 0.0" in text


def _get(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return str(answer.read().decode())
