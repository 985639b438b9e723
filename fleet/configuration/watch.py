"""Keeps a process's configuration current: a hint over Redis at once, a look at PostgreSQL twice a second anyway.

PostgreSQL alone says what the values are. While it is away the process works on with the last good ones; while
Redis is away it learns of a change with the next look. A value this release does not take is never applied.
"""

import asyncio
import contextlib
import random
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import psycopg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from db.errors import DomainError
from db.pool import Pool
from db.redis import connect
from db.two_phase import MAIN
from fleet.configuration.snapshot import Configuration, Snapshot
from fleet.configuration.source import Place, Source
from fleet.logging import get_logger
from fleet.metrics import (
    configuration_checks_total,
    configuration_confirmed_timestamp_seconds,
    configuration_refused_values,
    configuration_revision,
)

log = get_logger("fleet.configuration")

CHANNEL: Final = "erp:configuration"
#: Seconds between two looks, shortened by up to a fifth so that a fleet does not look in step.
POLL: Final = 0.5
#: Seconds one look may take.
_LOOK: Final = 2.0
_OUTAGES: Final = (psycopg.Error, DomainError, OSError, TimeoutError)


def hints_over(url: str) -> Redis:
    """A client for the hints: one subscription and now and then a message."""
    return connect(url, timeout=1.0, connections=4)


class ConfigurationWatch:
    """`start` it with the process, `close` it at the end.

    `pool` is one of the platform role, `placed` those of further databases by their names; `redis` is closed with
    the watch.
    """

    def __init__(
        self,
        configuration: Configuration,
        pool: Pool,
        redis: Redis,
        *,
        placed: Mapping[str, Pool] = MappingProxyType({}),
        poll: float = POLL,
    ) -> None:
        self.configuration = configuration
        self._sources = [Source(MAIN, pool, main=True)]
        self._sources += [Source(name, one, main=False) for name, one in placed.items()]
        self._redis = redis
        self._poll = poll
        self._hinted = asyncio.Event()
        self._looking = asyncio.Lock()
        self._refused: frozenset[Place] = frozenset()
        self._failing: set[str] = set()
        self._confirmed_at = float("-inf")
        self._tasks: list[asyncio.Task[None]] = []
        configuration.announcer = self.announce

    async def start(self) -> None:
        """Read once, as far as PostgreSQL lets us; then go on in the background."""
        await self.look()
        self._tasks = [
            asyncio.create_task(self._look_forever(), name="configuration-look"),
            asyncio.create_task(self._listen_forever(), name="configuration-listen"),
        ]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._redis.aclose()

    async def announce(self) -> None:
        """Tell every process that there is something new; harmless when Redis is away."""
        self._hinted.set()
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(0.5):
                await self._redis.publish(CHANNEL, b"changed")

    async def look(self) -> bool:
        """Work with what every database has now; False when one of them could not be asked."""
        async with self._looking:
            looks = await asyncio.gather(*(self._look_at(source) for source in self._sources))
            if any(looks):
                self._apply()
        confirmed = None not in looks
        configuration_checks_total.at("confirmed" if confirmed else "failed").inc()
        if confirmed:
            self._confirmed_at = asyncio.get_running_loop().time()
            configuration_confirmed_timestamp_seconds.set_to_current_time()
        return confirmed

    async def reload(self) -> dict[str, Any]:
        """Read everything again now. JSON-ready: whether that succeeded, and what this process works with."""
        for source in self._sources:
            source.forget()
        confirmed = await self.look()
        return {"confirmed": confirmed, "revisions": dict(self.configuration.snapshot.revisions)}

    def unconfirmed_for(self) -> float:
        """Seconds since this process last knew its copy to be current; infinite: never."""
        return asyncio.get_running_loop().time() - self._confirmed_at

    async def _look_at(self, source: Source) -> bool | None:
        """Whether there was anything new; None when nobody could say."""
        try:
            async with asyncio.timeout(_LOOK):
                new = await source.look()
        except _OUTAGES as error:
            if source.name not in self._failing:
                log.warning("the last good configuration is kept", database=source.name, reason=type(error).__name__)
            self._failing.add(source.name)
            return None
        except Exception:  # a defect must not end the watch; it says so with every look
            log.exception("the configuration could not be read", database=source.name)
            return None
        if source.name in self._failing:
            log.warning("the configuration is current again", database=source.name)
            self._failing.remove(source.name)
        return new

    def _apply(self) -> None:
        values = {place: value for source in self._sources for place, value in source.values.items()}
        refused = frozenset[Place]().union(*(source.refused for source in self._sources))
        if fresh := refused - self._refused:
            log.error("stored values this release does not take", keys=sorted({name for _, name in fresh}))
        self._refused = refused
        configuration_refused_values.set(len(refused))
        revisions = {source.name: source.revision for source in self._sources}
        changed = self.configuration.apply(Snapshot(revisions, values))
        unknown = frozenset[str]().union(*(source.unknown_features for source in self._sources))
        if unknown - self.configuration.unknown_features:
            log.error("features are active that this release does not know", features=sorted(unknown))
        self.configuration.note_unknown_features(unknown)
        for name, revision in revisions.items():
            configuration_revision.at(name).set(revision)
        if changed:
            log.info("configuration changed", revisions=revisions, keys=sorted(changed))

    # -- in the background -------------------------------------------------------------------------

    async def _look_forever(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll * random.uniform(0.8, 1.0)):
                    await self._hinted.wait()
            self._hinted.clear()
            await self.look()

    async def _listen_forever(self) -> None:
        """Hints only: nothing depends on any of them arriving."""
        while True:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
                    await channel.subscribe(CHANNEL)
                    self._hinted.set()  # what was announced while nobody listened
                    while True:
                        if await channel.get_message(timeout=5.0) is not None:
                            self._hinted.set()
            await asyncio.sleep(random.uniform(0.5, 1.0))
