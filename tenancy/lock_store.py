"""The Redis half of the locks: tokens, polling, renewal, and going on without Redis."""

import asyncio
import logging
import random
import secrets
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from redis.exceptions import RedisError

from db.redis import Script
from db.redis_channel import Channel, Resting
from tenancy.lock_turns import Lease, StillBusy

logger = logging.getLogger(__name__)

#: Seconds: the first pause of a poller is drawn from [0, FIRST_PAUSE], doubling up to LONGEST_PAUSE ...
FIRST_PAUSE = 0.002
LONGEST_PAUSE = 0.025
#: ... or to this while it is first in line: it must come back before its reservation ends.
PAUSE_IN_FRONT = 0.005
#: Milliseconds a released lock waits for the first in line, and a line-up counts without a new poll.
RESERVED_MS = 25
REGISTERED_MS = 150
#: Seconds between attempts to release while Redis does not answer.
RELEASE_AGAIN = 1.0
#: Seconds after which a lease is no longer renewed: its holder hangs.
LONGEST_HOLD = 300.0

ACQUIRE = Script.load("tenancy", "lua/lock_acquire.lua")
RELEASE = Script.load("tenancy", "lua/lock_release.lua")
EXTEND = Script.load("tenancy", "lua/lock_extend.lua")


@dataclass(frozen=True, slots=True)
class LockScripts:
    """The three atomic steps; replaceable so that tests can plant a bug and see it caught."""

    acquire: Script = ACQUIRE
    release: Script = RELEASE
    extend: Script = EXTEND


class LockObserver(Protocol):
    """Told about every lock set.

    `acquired`, `handed_over`, `degraded` and `timeout` with the seconds waited, `released` with the seconds
    held; `lost` and `release_failed` with 0.
    """

    def __call__(self, event: str, kind: str, seconds: float) -> None: ...


def kind_of(key: str) -> str:
    """`lock:<tenant>:<kind>:<id>` -> kind."""
    return key.split(":", 3)[2]


class LockStore:
    """Takes, renews and releases sets of keys; times out, never raises because Redis is away."""

    def __init__(
        self, channel: Channel, *, ttl: float, holder: str, scripts: LockScripts, observe: LockObserver
    ) -> None:
        self._channel = channel
        self._ttl = ttl
        self._ttl_ms = int(ttl * 1000)
        self._holder = holder
        self._scripts = scripts
        self._observe = observe
        self._held: set[Lease] = set()
        self._closed = False
        self._releasing = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def take(self, keys: tuple[str, ...], since: float, deadline: float) -> Lease:
        """Poll until every key is taken in one step; a degraded lease when Redis does not answer.

        Of the processes that poll, the one whose caller waits longest (`since`) is served next.
        Raises StillBusy when another process keeps a key past the deadline.
        """
        loop = asyncio.get_running_loop()
        lease = Lease(keys, secrets.token_hex(16), loop.time(), loop.time() + self._ttl)
        longest = FIRST_PAUSE
        while True:
            asked_at = loop.time()
            waited_ms = int((asked_at - since) * 1000)
            try:
                busy, *rest = await self._scripts.acquire(
                    self._channel, keys, lease.token, self._ttl_ms, self._holder, REGISTERED_MS, waited_ms
                )
            except RedisError as error:
                return self._degraded(lease, error)
            except asyncio.CancelledError:
                self.release(replace(lease, degraded=True))  # it may have been taken already
                raise
            if not busy:
                lease.taken_at, lease.expires_at = asked_at, asked_at + self._ttl
                self._keep(lease, loop)
                return lease
            if loop.time() >= deadline:
                raise StillBusy(keys[busy - 1])
            longest = min(longest * 2, PAUSE_IN_FRONT if rest[1] else LONGEST_PAUSE)
            await asyncio.sleep(min(random.uniform(0, longest), deadline - loop.time()))

    def release(self, lease: Lease) -> None:
        """Send the release now; it is on its way before anything this process sends later."""
        self._forget(lease)
        if lease.sent:
            self._send_release(lease)

    def _send_release(self, lease: Lease) -> None:
        self._releasing += 1
        self._idle.clear()
        self._scripts.release.post(
            self._channel, lease.keys, lease.token, RESERVED_MS, REGISTERED_MS,
            done=partial(self._released, lease),
        )  # fmt: skip

    async def close(self) -> None:
        """Release what is still held and wait (bounded) until Redis has answered."""
        self._closed = True
        for lease in list(self._held):
            self.release(lease)
        try:
            async with asyncio.timeout(self._channel.timeout * 2):
                await self._idle.wait()
        except TimeoutError:
            logger.warning("locks are left to expire: Redis did not answer the release")

    @staticmethod
    def _degraded(lease: Lease, error: RedisError) -> Lease:
        logger.log(
            logging.DEBUG if isinstance(error, Resting) else logging.WARNING,
            "going on without Redis locks: %s", error,
        )  # fmt: skip
        return replace(lease, degraded=True, sent=not isinstance(error, Resting))

    def _released(self, lease: Lease, released: Any, error: BaseException | None) -> None:
        self._releasing -= 1
        if not self._releasing:
            self._idle.set()
        loop = asyncio.get_running_loop()
        if error is None:
            if released < len(lease.keys) and not lease.degraded and not lease.lost:
                self._lose(lease)
        elif loop.time() < lease.expires_at and not self._closed:
            # Left alone it would keep the others waiting for the rest of its time to live.
            loop.call_later(RELEASE_AGAIN, self._send_release, lease)
        else:
            logger.warning("a lock was left to expire, its release failed: %s", error)
            self._observe("release_failed", kind_of(lease.keys[0]), 0.0)

    # -- renewal ---------------------------------------------------------------------------

    def _keep(self, lease: Lease, loop: asyncio.AbstractEventLoop) -> None:
        self._held.add(lease)
        lease.renewal = loop.call_later(self._ttl / 3, self._renew, lease, loop)

    def _forget(self, lease: Lease) -> None:
        lease.over = True
        self._held.discard(lease)
        if lease.renewal is not None:
            lease.renewal.cancel()
            lease.renewal = None

    def _renew(self, lease: Lease, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        if now - lease.taken_at > LONGEST_HOLD:
            logger.error("a lock held for %.0f s is no longer renewed: %s", now - lease.taken_at, lease.keys[0])
            return
        self._scripts.extend.post(
            self._channel, lease.keys, lease.token, self._ttl_ms,
            done=partial(self._renewed, lease, loop, now),
        )  # fmt: skip

    def _renewed(
        self, lease: Lease, loop: asyncio.AbstractEventLoop, asked_at: float, gone: Any,
        error: BaseException | None,
    ) -> None:  # fmt: skip
        if lease.over:
            return
        if error is None and not gone:
            lease.expires_at = asked_at + self._ttl
        elif error is None or loop.time() >= lease.expires_at:
            self._lose(lease)
            return
        lease.renewal = loop.call_later(self._ttl / (3 if error is None else 10), self._renew, lease, loop)

    def _lose(self, lease: Lease) -> None:
        lease.lost = True
        logger.warning(
            "a lock was lost while held (expired, flushed or forced): %s, %d keys", lease.keys[0], len(lease.keys)
        )
        self._observe("lost", kind_of(lease.keys[0]), 0.0)
