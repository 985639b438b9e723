"""The gate every request passes: limits, credential version and read-your-writes in one Redis round trip."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from db.redis import Script
from db.redis_channel import Channel
from tenancy.limits import Limit, LocalWindows, guess_limits
from tenancy.write_memory import WriteMemory

ADMIT = Script.load("tenancy", "lua/window.lua", "lua/admit.lua")
GUESS = Script.load("tenancy", "lua/window.lua", "lua/guess.lua")
#: When this Redis was first seen with its present data; gone with the data.
EPOCH_KEY = "admission:epoch"
#: How long a caller's writes are remembered, and so how old the data must be to know of every one of them.
MEMORY_MS = 60_000


class Admission(NamedTuple):
    """What the gate says about one request. `reset` and `retry_after` in whole seconds.

    `limit`, `remaining` and `reset` describe the tightest limit (the refusing one when refused), and are 0
    without limits. `credentials` changes whenever the tenant's credentials do and whenever Redis lost its
    data: compare it with the one a cached credential was loaded under; None (Redis is away) proves nothing.
    """

    allowed: bool
    limit: int = 0
    remaining: int = 0
    reset: int = 0
    refused_by: str | None = None
    retry_after: int | None = None
    credentials: str | None = None
    pending: int = 0
    position: int | None = None
    memory_complete: bool = False
    degraded: bool = False

    @property
    def needs_primary(self) -> bool:
        """True when only the primary surely shows the caller's own writes; else a replica at `position`."""
        return self.pending > 0 or not self.memory_complete


class AdmissionObserver(Protocol):
    """Told what is out of the ordinary: `refused` by a limit's name, `degraded` by an error's name, `recovered`."""

    def __call__(self, event: str, detail: str) -> None: ...


def _ignore(event: str, detail: str) -> None:
    """Nobody observes."""


class _Keys(NamedTuple):
    credentials: str
    writes: str


@lru_cache(maxsize=16_384)
def _keys(tenant_id: UUID, principal_id: UUID) -> _Keys:
    return _Keys(f"authv:{tenant_id}", f"ryw:{tenant_id}:{principal_id}")


class Gatekeeper:
    """Admits requests; without Redis it goes on with the approximate counting of this process.

    `instances`: how many processes like this one share the traffic, until `shared_by` tells.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        instances: int = 1,
        observe: AdmissionObserver = _ignore,
        admit_script: Script = ADMIT,
    ) -> None:
        self.instances = instances
        self._channel = Channel(redis, name="redis-sessions")
        self._observe = observe
        self._admit = admit_script
        self._writes = WriteMemory(self._channel)
        self._local = LocalWindows()
        self._alone = False
        self._local_guesses = LocalWindows()

    def shared_by(self, found: int, *, whole: bool) -> None:
        """So many processes like this one were counted; not `whole`: at least so many. Holds when Redis is away."""
        self.instances = max(1, found if whole else max(found, self.instances))

    async def start(self) -> None:
        """Connect ahead of the first request; harmless when Redis is away."""
        await self._channel.open()

    async def flush(self) -> None:
        """Wait until what was remembered so far has reached Redis (or Redis turned out to be away)."""
        await self._writes.flush()

    async def close(self) -> None:
        """Send what is still to be remembered and disconnect."""
        await self._writes.close()
        await self._channel.close()

    async def admit(self, tenant_id: UUID, principal_id: UUID, limits: Sequence[Limit], writing: bool) -> Admission:
        """Charge the limits, or none of them when one has no room; never raises because of Redis.

        An admitted `writing` request must end with exactly one `remember_write`, whatever its outcome.
        """
        keys = _keys(tenant_id, principal_id)
        words = [b"1" if writing else b"0", b"1"]
        names = [EPOCH_KEY, *keys]
        for limit in limits:
            names.append(limit.key)
            words += limit.bounds
        try:
            reply = await self._admit(self._channel, names, *words)
        except RedisError as error:
            admission = self._without_redis(limits, error)
            if writing and admission.allowed:
                self._writes.begin(keys.writes, None)
            return admission
        if writing and not reply[0]:
            self._writes.begin(keys.writes, reply[8])
        return self._admission(reply, limits)

    async def admit_address(self, address: Limit) -> Admission:
        """The same gate for a caller nobody knows yet: its address' limit only."""
        limits = (address,)
        try:
            reply = await self._admit(self._channel, (EPOCH_KEY, address.key), b"0", b"0", *address.bounds)
        except RedisError as error:
            return self._without_redis(limits, error)
        return self._admission(reply, limits)

    def remember_write(self, tenant_id: UUID, principal_id: UUID, position: int | None) -> None:
        """The admitted write ended, committed at `position` (a WAL position) or not at all. Does not wait."""
        self._writes.finish(_keys(tenant_id, principal_id).writes, position)

    async def bump_credentials(self, tenant_id: UUID) -> bool:
        """Make every instance load the tenant's credentials anew; False: as soon as Redis is back."""
        return await self._writes.bump(f"authv:{tenant_id}")

    async def guessing_blocked(self, address: str, prefix: str | None = None) -> int | None:
        """Seconds until this address may try another credential (or this prefix be tried); None: now."""
        return await self._guess(guess_limits(address, prefix), failed=False)

    async def note_failure(self, address: str, prefix: str | None = None) -> int | None:
        """Count a wrong credential; seconds as `guessing_blocked`, for the attempt just made."""
        return await self._guess(guess_limits(address, prefix), failed=True)

    async def _guess(self, limits: Sequence[Limit], *, failed: bool) -> int | None:
        keys = [limit.key for limit in limits]
        bounds = [bound for limit in limits for bound in limit.bounds]
        try:
            wait: float = await GUESS(self._channel, keys, b"1" if failed else b"0", *bounds)
        except RedisError as error:
            self._observe("degraded", type(error).__name__)
            wait = self._local_guesses.wait_ms(limits)
            if failed:
                self._local_guesses.charge(limits)
        return math.ceil(wait / 1000) if wait else None

    def _admission(self, reply: list[Any], limits: Sequence[Limit]) -> Admission:
        if self._alone:
            self._alone = False
            self._observe("recovered", "")
        refused, tightest, remaining, reset, wait, epoch, now, version, _, pending, position = reply
        limit = limits[tightest - 1] if tightest else None
        if refused:
            return self._refusal(limits[refused - 1], reset, wait, degraded=False)
        complete = now - int(epoch) // 1000 >= MEMORY_MS and self._channel.same_server_for() >= MEMORY_MS / 1000
        return Admission(
            True,
            limit.allowed if limit is not None else 0,
            remaining,
            math.ceil(reset / 1000),
            None,
            None,
            f"{int(epoch)}.{int(version or 0)}",
            pending,
            int(position) if position is not None else None,
            complete,
            False,
        )

    def _without_redis(self, limits: Sequence[Limit], error: RedisError) -> Admission:
        self._alone = True
        self._observe("degraded", type(error).__name__)
        # Twice the fair share: an uneven balancer must not refuse whom Redis would have let in.
        verdict = self._local.admit(limits, min(1.0, 2 / max(1, self.instances)))
        if verdict.refused is not None:
            return self._refusal(limits[verdict.refused], verdict.reset_ms, verdict.wait_ms, degraded=True)
        limit = limits[verdict.tightest].allowed if limits else 0
        reset = math.ceil(verdict.reset_ms / 1000)
        return Admission(True, limit, verdict.remaining, reset, degraded=True)

    def _refusal(self, limit: Limit, reset_ms: float, wait_ms: float, *, degraded: bool) -> Admission:
        self._observe("refused", limit.name)
        return Admission(
            False,
            limit.allowed,
            0,
            math.ceil(max(reset_ms, wait_ms) / 1000),
            limit.name,
            math.ceil(wait_ms / 1000),
            degraded=degraded,
        )
