"""This process as an instance of the fleet: registered, listening, and doing what an operator tells it."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

from redis.asyncio import Redis
from redis.exceptions import RedisError

from db.redis import connect
from db.redis_channel import Channel
from fleet.configuration.log_level import LOG_LEVEL
from fleet.configuration.snapshot import FEATURE_PREFIX, Configuration
from fleet.health import Readiness
from fleet.instances.bus import Bus
from fleet.instances.diagnostics import diagnostics
from fleet.instances.ears import Ears
from fleet.instances.envelope import EVERYBODY, Body
from fleet.instances.log_override import LogOverride
from fleet.instances.measure import LoadMeter
from fleet.instances.member import About, Condition, State
from fleet.instances.registry import Registry
from fleet.logging import get_logger
from fleet.metrics import instance_heartbeats_total

log = get_logger("fleet.instances")

_OUTAGES: Final = (RedisError, OSError, TimeoutError)

#: Kinds of messages.
RELOAD: Final = "reload_configuration"
DRAIN: Final = "drain"
UNDRAIN: Final = "undrain"
DIAGNOSE: Final = "diagnostics"
LOG: Final = "log_level"
PING: Final = "ping"
JOINED: Final = "instance.joined"
LEFT: Final = "instance.left"


def _nothing(draining: bool) -> None:
    """A process whose readiness says it all."""


class Peers(Protocol):
    """Told how many of this role live; not `whole`: at least so many."""

    def __call__(self, found: int, *, whole: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the process does when told. `reload` reads the whole configuration again and tells its state;
    `draining` is called with True when no new work is to be begun, with False when it may be again; `peers` with
    every heartbeat."""

    readiness: Readiness
    configuration: Configuration
    reload: Callable[[], Awaitable[Body]]
    draining: Callable[[bool], None] = _nothing
    peers: Peers | None = None


class Instance:
    """`start` it when the process works, `close` it when it ends. Redis being away stops neither."""

    def __init__(self, about: About, url: str, hooks: Hooks, *, heartbeat: float, dead_after: float) -> None:
        """`url`: the Redis where the fleet meets."""
        self.about = about
        self._hooks = hooks
        self._redis = connect(url, timeout=0.5, connections=2)
        self._channel = Channel(self._redis, name="fleet")
        self.registry = Registry(self._channel, heartbeat=heartbeat, dead_after=dead_after)
        self.bus = Bus(about.id, about.role, self._channel)
        self._ears = Ears(_patient(url), self.bus.channels, self.bus.receive)
        self._meter = LoadMeter()
        self._override = LogOverride(lambda: hooks.configuration.get(LOG_LEVEL))
        self._changed = asyncio.Event()
        self._beating: asyncio.Task[None] | None = None
        self._aside = False
        hooks.configuration.watch(self._reconsider)
        # What others do by then may be beyond this build: it takes no traffic, no jobs and no lead.
        hooks.readiness.require("unknown_feature", lambda: not hooks.configuration.unknown_features)
        for kind, handler in self._handlers().items():
            self.bus.answer(kind, handler)

    async def start(self) -> None:
        self._stand()
        await self._ears.start()
        await self._beat()
        self._beating = asyncio.create_task(self._beat_forever(), name="instance-heartbeat")
        await self.bus.tell(EVERYBODY, JOINED, {"id": self.about.id, "role": self.about.role})

    async def close(self) -> None:
        """With a farewell, if Redis takes it."""
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)
        try:
            await self.registry.leave(self.about.id)
            await self.bus.tell(EVERYBODY, LEFT, {"id": self.about.id, "role": self.about.role})
        except _OUTAGES as error:
            log.warning("left without a farewell", reason=type(error).__name__)
        self._override.end()
        await self._ears.close()
        await self.bus.close()
        await self._channel.close()
        await self._redis.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def condition(self) -> Condition:
        reasons = self._hooks.readiness.reasons()
        return Condition(
            state=_state(reasons), load=self._meter.measure(), reasons=reasons,
            unknown_features=sorted(self._hooks.configuration.unknown_features),
        )  # fmt: skip

    def tell_now(self) -> None:
        """Beat at once: something changed that operators look for."""
        self._changed.set()

    # -- heartbeats --------------------------------------------------------------------------------

    async def _beat_forever(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self.registry.heartbeat * random.uniform(0.9, 1.0)):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            await self._beat()

    async def _beat(self) -> None:
        try:
            await self.registry.beat(self.about, self.condition())
            if self._hooks.peers is not None:
                await self._count(self._hooks.peers)
        except _OUTAGES:
            instance_heartbeats_total.at("failed").inc()
        except Exception:  # a defect must not end the heartbeats
            log.exception("a heartbeat failed")
        else:
            instance_heartbeats_total.at("sent").inc()

    async def _count(self, peers: Peers) -> None:
        roll = await self.registry.roll()
        if not roll.degraded:
            peers(len(roll.of_role(self.about.role)), whole=roll.whole)

    # -- what it does when told ----------------------------------------------------------------------

    def _handlers(self) -> Mapping[str, Callable[[Body], Awaitable[Body]]]:
        return {
            PING: self._ping, RELOAD: self._reload, DRAIN: self._drain, UNDRAIN: self._undrain,
            DIAGNOSE: self._diagnose, LOG: self._log,
        }  # fmt: skip

    async def _ping(self, body: Body) -> Body:
        return {"features": list(self.about.features)}

    async def _reload(self, body: Body) -> Body:
        return await self._hooks.reload()

    async def _drain(self, body: Body) -> Body:
        self._hooks.readiness.pause()
        self._stand()
        log.warning("draining: an operator said so", reason=str(body.get("reason", ""))[:500])
        return await self._told()

    async def _undrain(self, body: Body) -> Body:
        self._hooks.readiness.resume()
        self._stand()
        log.warning("drains no more: an operator said so", reason=str(body.get("reason", ""))[:500])
        return await self._told()

    async def _told(self) -> Body:
        """The state as it is now, in the registry too before the answer goes out."""
        await self._beat()
        now = self.condition()
        return {"state": now.state, "requests": now.load.requests, "jobs": now.load.jobs}

    async def _diagnose(self, body: Body) -> Body:
        configuration: dict[str, Any] = {"revisions": dict(self._hooks.configuration.snapshot.revisions)}
        return diagnostics(
            {
                "state": self.condition().state,
                "reasons": self._hooks.readiness.reasons(),
                "configuration": configuration,
                "log_level": self._override.level or self._hooks.configuration.get(LOG_LEVEL),
                "features": list(self.about.features),
            }
        )

    async def _log(self, body: Body) -> Body:
        level, seconds = str(body["level"]), min(float(body["seconds"]), 3600.0)
        if seconds <= 0:
            self._override.end()
        else:
            self._override.set(level, seconds)
        return {"level": self._override.level or self._hooks.configuration.get(LOG_LEVEL), "seconds": seconds}

    def _reconsider(self, names: frozenset[str]) -> None:
        if LOG_LEVEL.name in names:
            self._override.reassert()
        if any(name.startswith(FEATURE_PREFIX) for name in names):
            self._stand()
            self.tell_now()

    def _stand(self) -> None:
        """Aside while it drains or does not understand the others, else in line."""
        aside = self._hooks.readiness.draining or bool(self._hooks.configuration.unknown_features)
        if aside != self._aside:
            self._aside = aside
            self._hooks.draining(aside)


def _state(reasons: list[str]) -> State:
    if not reasons:
        return "ready"
    states: tuple[State, ...] = ("draining", "starting")
    for state in states:
        if state in reasons:
            return state
    return "not_ready"


def _patient(url: str) -> Redis:
    """For the subscription, which waits."""
    return connect(url, timeout=5.0, connections=2)
