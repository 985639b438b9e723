"""Processes of the application and the balancer that are killed, frozen or told to read their settings again."""

import asyncio
import os
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import psycopg
from redis import Redis

from tests.faults.scenario import under_trade
from tests.faults.stage import Stage, Trade, until
from tests.faults.verdict import Check, at_most, none_of
from tests.fleet.storm import IMPORTED, start_import

_TAKEN_OVER_WITHIN, _DONE_WITHIN = 30.0, 60.0
#: Longer than a job's lease and than a leader's.
_PAST_LEASES = 8.0


async def kill_instance(stage: Stage, trade: Trade) -> None:
    before = stage.pid("api-1")
    stage.kill("api-1")
    trade.checks.append(at_most("ready again after", await stage.restarted("api-1", before), 30))


async def freeze_instance(stage: Stage, trade: Trade) -> None:
    with stage.frozen("api-2"):
        await asyncio.sleep(stage.seconds)


async def reload_balancer(stage: Stage, trade: Trade) -> None:
    os.kill(stage.pid("nginx"), signal.SIGHUP)
    await asyncio.sleep(stage.seconds)


async def import_under_way(stage: Stage, trade: Trade) -> str:
    job = await start_import(stage.fleet, trade.shop)
    trade.imported = IMPORTED
    sql = "SELECT count(*) FROM jobs WHERE id = %s AND state = 'running' AND progress IS NOT NULL"
    await until(lambda: value(stage, sql, job) == 1, 60, "the import is under way")
    return job


async def once_done(stage: Stage, trade: Trade, job: str) -> None:
    """Waits for the import, and counts what it did."""
    try:
        took = await until(
            lambda: value(stage, "SELECT state FROM jobs WHERE id = %s", job) == "done", _DONE_WITHIN, "it is done"
        )
    except TimeoutError:
        took = _DONE_WITHIN + 1
    trade.checks.append(at_most("its job done after", took, _DONE_WITHIN))
    marks = "SELECT text FROM stock_adjustments WHERE tenant_id = %s AND text LIKE 'import-%%'"
    with stage.database() as session:
        booked = Counter(mark for (mark,) in session.execute(marks, [trade.shop.id]).fetchall())
    trade.checks.append(none_of("rows booked twice", [mark for mark, times in booked.items() if times > 1]))
    trade.checks.append(Check("rows booked", str(len(booked)), str(IMPORTED), len(booked) == IMPORTED))


def value(stage: Stage, sql: str, *parameters: object) -> object:
    with stage.database() as session:
        [[found]] = session.execute(sql.encode(), parameters).fetchall()
    return found


async def kill_worker(stage: Stage, trade: Trade) -> None:
    job = await import_under_way(stage, trade)
    fence = value(stage, "SELECT fence FROM jobs WHERE id = %s", job)
    stage.kill("worker-low")
    taken = "SELECT fence > %s AND state <> 'queued' FROM jobs WHERE id = %s"
    took = await until(lambda: value(stage, taken, fence, job) is True, 60, "somebody has its job")
    trade.checks.append(at_most("its job taken over after", took, _TAKEN_OVER_WITHIN))
    trade.healed = time.monotonic()
    await once_done(stage, trade, job)


async def freeze_worker(stage: Stage, trade: Trade) -> None:
    job = await import_under_way(stage, trade)
    with stage.frozen("worker-low"):
        await asyncio.sleep(_PAST_LEASES)
    trade.healed = time.monotonic()
    await once_done(stage, trade, job)


HOLDER = "SELECT holder FROM leases WHERE name = 'coordinator' AND expires_at > clock_timestamp()"
LEADER = f"SELECT split_part(({HOLDER}), ':', 1)"


async def _led_by_another(stage: Stage, trade: Trade, former: str) -> None:
    """Another process: the killed one's successor has its name, and may be the first to ask."""
    sql = f"SELECT coalesce(({HOLDER}), %s)"
    took = await until(lambda: value(stage, sql, former) != former, 60, "another leads")
    trade.checks.append(at_most("another leads after", took, 10))


async def kill_leader(stage: Stage, trade: Trade) -> None:
    holder = str(value(stage, HOLDER))
    stage.kill(holder.partition(":")[0])
    await _led_by_another(stage, trade, holder)


async def freeze_leader(stage: Stage, trade: Trade) -> None:
    holder = str(value(stage, HOLDER))
    with stage.frozen(holder.partition(":")[0]):
        await _led_by_another(stage, trade, holder)
        await asyncio.sleep(2)


async def kill_relay_again_and_again(stage: Stage, trade: Trade) -> None:
    """Both coordinators, so that nobody relays: what the dying one was publishing is published again."""
    for _ in range(2):
        for name in stage.fleet.options.coordinator_names:
            stage.kill(name)
        await asyncio.sleep(1)
        await stage.whole()


async def _relayed(stage: Stage, trade: Trade) -> list[Check]:
    """The tenant's events beside the stream: none missing, those of a record in their order."""
    tenant = trade.shop.id
    with psycopg.connect(stage.fleet.endpoints.superuser_url) as session:
        sql = "SELECT aggregate_id::text, version FROM events WHERE tenant_id = %s ORDER BY version"
        written = _by_record(session.execute(sql, [tenant]).fetchall())
    with Redis.from_url(stage.fleet.plan.core.url(0), decode_responses=True) as core:
        entries: Any = core.xrange("events")
    streamed = _by_record(
        (entry["aggregate_id"], int(entry["version"])) for _, entry in entries if entry["tenant_id"] == tenant
    )
    first = {record: list(dict.fromkeys(versions)) for record, versions in streamed.items()}
    events, sent = sum(map(len, written.values())), sum(map(len, streamed.values()))
    return [
        none_of("events missing or out of order", [one for one in written if first.get(one) != written[one]]),
        Check("events in the stream", f"{sent} entries of {events} events", "at least once", sent >= events),
    ]


def _by_record(rows: Iterable[tuple[Any, ...]]) -> dict[str, list[int]]:
    """Record -> the versions of its events, in the order of the rows."""
    found: dict[str, list[int]] = defaultdict(list)
    for record, version in rows:
        found[record].append(version)
    return dict(found)


SCENARIOS = (
    under_trade(
        "api-killed", "kill -9 of an API instance", "nothing lost or doubled; errors for 2 s", kill_instance,
        window=lambda seconds: 2.0,
    ),
    under_trade(
        "api-frozen", "SIGSTOP of an API instance", "the others serve; errors for 11 s; nothing stale written",
        freeze_instance, window=lambda seconds: 11.0,
    ),
    under_trade(
        "nginx-reloaded", "nginx reads its configuration again", "errors for 1 s", reload_balancer,
        window=lambda seconds: 1.0,
    ),
    under_trade(
        "worker-killed", "kill -9 of a worker in its job", "taken over within 30 s, every effect once", kill_worker
    ),
    under_trade(
        "worker-frozen", "SIGSTOP of a worker past its lease", "what it does late counts for nothing", freeze_worker
    ),
    under_trade(
        "leader-killed", "kill -9 of the leading coordinator", "another leads within 10 s (lease 5 s), no event lost",
        kill_leader, then=_relayed,
    ),
    under_trade(
        "leader-frozen", "SIGSTOP of the leader past its lease", "deposed, it changes nothing when it wakes",
        freeze_leader, then=_relayed,
    ),
    under_trade(
        "relay-killed", "kill -9 of both coordinators, twice", "events again, none missing, in order",
        kill_relay_again_and_again, then=_relayed,
    ),
)  # fmt: skip
