"""Ready-made health checks for what every process of the fleet leans on."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from db.pool import Pool, flush
from db.replicas import ReplicaSet
from db.statement import Bound
from fleet.health import Check, Outcome, Status

_IN_RECOVERY: Bound[tuple[Any, ...]] = Bound("SELECT pg_is_in_recovery()", {})
_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


def primary_check(pool: Pool) -> Check:
    """The primary answers and accepts writes."""

    async def check() -> Outcome:
        async with pool.connection() as connection:
            [[(recovering,)]] = await flush(connection, [_IN_RECOVERY])
        stats = pool.stats()
        facts = {key: stats.get(key, 0) for key in ("pool_size", "pool_available", "requests_waiting")}
        if recovering:
            return Outcome("unhealthy", "the server is a standby", facts)
        return Outcome("degraded" if facts["requests_waiting"] else "healthy", "", facts)

    return check


def replicas_check(replicas: ReplicaSet, *, max_lag: float = 5.0) -> Check:
    """What the watcher knows of the replicas; reads fall back to the primary without any of them."""

    async def check() -> Outcome:
        states = {
            replica.name: "eligible" if replica.healthy and replica.lag_seconds <= max_lag else "out"
            for replica in replicas.replicas
        }
        facts = {
            **states,
            **{f"{replica.name}_lag_seconds": round(replica.lag_seconds, 3) for replica in replicas.replicas},
        }
        out = [name for name, state in states.items() if state == "out"]
        if not out:
            return Outcome("healthy", "", facts)
        status: Status = "unhealthy" if len(out) == len(states) else "degraded"
        return Outcome(status, f"not serving: {', '.join(out)}", facts)

    return check


def redis_check(redis: Redis) -> Check:
    """The server answers PING."""

    async def check() -> Outcome:
        # redis-py types PING as one or the other of a value and an awaitable.
        answer: Awaitable[Any] = redis.execute_command("PING")  # type: ignore[no-untyped-call]
        await answer
        return Outcome()

    return check


def queue_check(depths: Callable[[], Awaitable[Mapping[str, int]]], *, degraded_above: int = 10_000) -> Check:
    """How many jobs wait per queue."""

    async def check() -> Outcome:
        found = await depths()
        long = [name for name, depth in found.items() if depth > degraded_above]
        return Outcome("degraded" if long else "healthy", ", ".join(long), dict(found))

    return check


def disk_check(folder: Path, *, degraded_below: float = 0.1, unhealthy_below: float = 0.03) -> Check:
    """The share of the folder's file system that is free."""

    async def check() -> Outcome:
        usage = await asyncio.to_thread(shutil.disk_usage, folder)
        free = usage.free / usage.total if usage.total else 0.0
        return Outcome(_below(free, degraded_below, unhealthy_below), "", {"free_share": round(free, 3)})

    return check


def memory_check(*, degraded_below: float = 0.1, unhealthy_below: float = 0.03) -> Check:
    """The share of memory left: of this container when it has a limit, else of the machine."""

    async def check() -> Outcome:
        free = await asyncio.to_thread(free_memory_share)
        return Outcome(_below(free, degraded_below, unhealthy_below), "", {"free_share": round(free, 3)})

    return check


def free_memory_share(cgroup: Path = _CGROUP, meminfo: Path = _MEMINFO) -> float:
    """Between 0 and 1. Reads cgroup v2 first (Linux), /proc/meminfo second; 1 where neither can be read."""
    try:
        limit = int((cgroup / "memory.max").read_text())
        used = int((cgroup / "memory.current").read_text())
        reclaimable = _field((cgroup / "memory.stat").read_text(), "inactive_file")
    except (OSError, ValueError):
        pass  # no limit ("max"), or no cgroup v2
    else:
        return max(0.0, 1 - (used - reclaimable) / limit)
    try:
        text = meminfo.read_text()
    except OSError:
        return 1.0
    return _field(text, "MemAvailable:") / max(1, _field(text, "MemTotal:"))


def _field(text: str, name: str) -> int:
    for line in text.splitlines():
        words = line.split()
        if words and words[0] == name:
            return int(words[1])
    return 0


def _below(share: float, degraded: float, unhealthy: float) -> Status:
    if share < unhealthy:
        return "unhealthy"
    return "degraded" if share < degraded else "healthy"
