"""Instances of a small fleet: several in this process, on a Redis of their own that a test may take away."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from db.redis import connect
from fleet.configuration.snapshot import Configuration
from fleet.health import Readiness
from fleet.instances.instance import Hooks, Instance, Peers
from fleet.instances.member import About
from tests.api.whole.conftest import gate, newcomer, operator, tenant
from tests.tenancy.coordination.conftest import OwnRedis, own_redis, redis_of_our_own

__all__ = ["gate", "newcomer", "operator", "own_redis", "redis_of_our_own", "tenant"]

HEARTBEAT = 0.25
DEAD_AFTER = 1.5
_numbers = itertools.count(1)


async def until(true: Callable[[], Awaitable[bool]], within: float = 15.0) -> float:
    """Seconds until it is true. Raises AssertionError when that takes longer than `within`."""
    started = time.monotonic()
    while not await true():
        assert time.monotonic() - started < within, f"not within {within} s"
        await asyncio.sleep(0.02)
    return time.monotonic() - started


def about_of(role: str, features: tuple[str, ...] = ()) -> About:
    number = next(_numbers)
    return About(
        id=f"{role}-{number}:0", name=f"{role}-{number}", role=role, version="1.0", host="here", pid=number,
        started_at=datetime.now(UTC), features=list(features),
    )  # fmt: skip


class Fleet:
    """Makes instances, and ends those a test has left."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.told: list[bool] = []
        self._running: list[Instance] = []

    async def join(
        self, role: str = "api", *, features: tuple[str, ...] = (), url: str = "", peers: Peers | None = None
    ) -> Instance:
        readiness, configuration = Readiness(), Configuration()
        readiness.start()
        about = about_of(role, features)

        async def reload() -> dict[str, Any]:
            return {"confirmed": True, "revisions": {"main": 7}}

        hooks = Hooks(readiness, configuration, reload, self.told.append, peers)
        made = Instance(about, url or self.url, hooks, heartbeat=HEARTBEAT, dead_after=DEAD_AFTER)
        await made.start()
        self._running.append(made)
        return made

    async def end(self) -> None:
        for one in self._running:
            await one.close()


def kill(instance: Instance) -> None:
    """It falls silent, as after kill -9: no heartbeat, no answer, no farewell."""
    assert instance._beating is not None
    assert instance._ears._task is not None
    instance._beating.cancel()
    instance._ears._task.cancel()


@pytest.fixture
async def fleet(own_redis: OwnRedis) -> AsyncIterator[Fleet]:
    flusher = connect(own_redis.url, timeout=0.5)
    await flusher.flushall()
    await flusher.aclose()
    made = Fleet(own_redis.url)
    yield made
    with contextlib.suppress(AssertionError):
        own_redis.recover()
    await made.end()
