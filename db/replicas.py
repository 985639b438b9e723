"""Which replica may serve a read: watched for health and lag, ejected when bad, taken back when well."""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg_pool import PoolTimeout

from db.consistency import parse_lsn
from db.errors import DomainError
from db.pool import Pool, flush
from db.shared_flush import SharedFlushes
from db.statement import Bound

_REPLAYED: Bound[tuple[Any, ...]] = Bound("SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn()::text", {})
_WRITTEN: Bound[tuple[Any, ...]] = Bound("SELECT pg_current_wal_flush_lsn()::text", {})

#: What may go wrong when a server is asked something; anything else is a defect of ours.
_UNREACHABLE = (psycopg.Error, DomainError, PoolTimeout, TimeoutError, OSError)


class Replica:
    """One standby: its pool, the last position it is known to have replayed, and whether it may serve.

    `look_ups`: the way to its pool for reads of a few rows by key.
    """

    def __init__(self, name: str, pool: Pool) -> None:
        self.name = name
        self.pool = pool
        self.look_ups = SharedFlushes(pool)
        self.replayed = -1
        self.lag_seconds = 0.0
        self.healthy = False
        self.failures = 0

    def eject(self) -> None:
        """A read failed here: stay away until the watcher has seen it well again."""
        self.healthy = False
        self.failures += 1

    async def refresh(self) -> int:
        """Ask for the replayed position; marks the replica healthy. Raises when it does not answer."""
        async with self.pool.connection() as connection:
            [[(recovering, position)]] = await flush(connection, [_REPLAYED])
        if not recovering or position is None:
            raise ConnectionError(f"{self.name} is not a standby")
        self.replayed = max(self.replayed, parse_lsn(position))
        return self.replayed


class ReplicaSet:
    """Round-robin over the replicas that are healthy and at most `max_lag` seconds behind.

    Lag is the age of the oldest sampled primary position a replica has not replayed yet; it needs no
    clock of another machine and stays zero on an idle system. While the primary cannot be asked there is
    nothing new to lag behind, so replicas keep serving.
    """

    def __init__(
        self,
        replicas: list[Replica],
        primary: Pool,
        *,
        max_lag: float = 5.0,
        interval: float = 0.1,
        on_sample: Callable[[Replica], None] = lambda replica: None,
    ) -> None:
        self.replicas = replicas
        self._primary = primary
        self._max_lag = max_lag
        self._interval = interval
        self._on_sample = on_sample
        self._turn = itertools.count()
        self._used = 0.0
        self._samples: deque[tuple[float, int]] = deque(maxlen=600)
        self._tasks: list[asyncio.Task[None]] = []

    def choose(self, position: int | None, *, reader: int | None = None) -> Replica | None:
        """An eligible replica, one known to have replayed `position` before one that has not.

        The same `reader` gets the same replica while the set of candidates stays the same: a replica's
        replay only moves forward, so the reader never sees time run backwards. Without it: round-robin.
        """
        self._used = time.monotonic()
        eligible = [r for r in self.replicas if r.healthy and r.lag_seconds <= self._max_lag]
        if not eligible:
            return None
        current = [r for r in eligible if position is None or r.replayed >= position] or eligible
        return current[(next(self._turn) if reader is None else reader) % len(current)]

    async def start(self) -> None:
        """First look at every server, then keep looking; a missing server does not stop the start."""
        await asyncio.gather(self._look_at_primary(), *(self._look_at(r) for r in self.replicas))
        self._tasks = [asyncio.create_task(self._watch(r)) for r in self.replicas]
        self._tasks.append(asyncio.create_task(self._watch_primary()))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def _busy(self) -> bool:
        """Whether anybody read lately; a process that does not read looks ten times less often."""
        return time.monotonic() - self._used < 2.0

    async def _watch(self, replica: Replica) -> None:
        while True:
            await self._look_at(replica)
            await asyncio.sleep(self._interval if replica.healthy and self._busy else self._interval * 10)

    async def _watch_primary(self) -> None:
        while self.replicas:
            await self._look_at_primary()
            await asyncio.sleep(self._interval * (5 if self._busy else 10))

    async def _look_at(self, replica: Replica) -> None:
        try:
            async with asyncio.timeout(1):
                await replica.refresh()
        except _UNREACHABLE:
            replica.healthy = False
        else:
            replica.lag_seconds = self._lag(replica.replayed)
            replica.healthy = True
        self._on_sample(replica)

    async def _look_at_primary(self) -> None:
        try:
            async with asyncio.timeout(1), self._primary.connection() as connection:
                [[(position,)]] = await flush(connection, [_WRITTEN])
        except _UNREACHABLE:
            return
        self._samples.append((time.monotonic(), parse_lsn(position)))

    def _lag(self, replayed: int) -> float:
        missing = None
        for moment, position in reversed(self._samples):  # what is missing is the last of them
            if position <= replayed:
                break
            missing = moment
        return 0.0 if missing is None else time.monotonic() - missing
