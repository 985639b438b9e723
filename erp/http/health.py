"""Health in three depths: alive, ready for traffic, and how every part is.

Alive asks nothing but the event loop. Ready asks only this instance (started, not draining): a shared fault
must not take every instance out of the balancer. Only the deep answer looks at the servers behind.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

import msgspec

Status = Literal["ok", "degraded", "down"]


class ComponentHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the system; `facts` depend on the part (lag, pool use, version)."""

    status: Status
    detail: str = ""
    facts: dict[str, Any] = {}
    milliseconds: float = 0.0


class HealthView(msgspec.Struct, frozen=True, kw_only=True):
    """The worst of its components, each of them, and how old the look at them is (seconds)."""

    status: Status
    components: dict[str, ComponentHealth]
    age: float = 0.0


Check = Callable[[], Awaitable[ComponentHealth]]

_SEVERITY: dict[Status, int] = {"ok": 0, "degraded": 1, "down": 2}


class HealthChecks:
    """`not_ready` names why this instance must get no new requests, None when it may.

    The deep look runs all checks at once, each for at most `budget` seconds, and is remembered for
    `remember` seconds, so that any number of dashboards costs one look a second.
    """

    def __init__(
        self,
        components: Mapping[str, Check],
        *,
        not_ready: Callable[[], str | None],
        budget: float = 1.0,
        remember: float = 1.0,
    ) -> None:
        self._components = dict(components)
        self.not_ready = not_ready
        self._budget = budget
        self._remember = remember
        self._looking = asyncio.Lock()
        self._last: HealthView | None = None
        self._at = 0.0

    async def deep(self) -> HealthView:
        """Every component's health; a check that fails or takes too long is `down`."""
        async with self._looking:
            age = time.monotonic() - self._at
            if self._last is not None and age < self._remember:
                return msgspec.structs.replace(self._last, age=round(age, 3))
            found = await asyncio.gather(*(self._look(check) for check in self._components.values()))
            components = dict(zip(self._components, found, strict=True))
            worst: Status = max((c.status for c in found), key=_SEVERITY.__getitem__, default="ok")
            self._last, self._at = HealthView(status=worst, components=components), time.monotonic()
            return self._last

    async def _look(self, check: Check) -> ComponentHealth:
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._budget):
                health = await check()
        except TimeoutError:
            health = ComponentHealth(status="down", detail=f"no answer within {self._budget:g} s")
        except Exception as error:
            # Whatever breaks a check is the finding; its text may name hosts, so only the kind goes out.
            health = ComponentHealth(status="down", detail=type(error).__name__)
        spent = round((time.perf_counter() - started) * 1000, 2)
        return msgspec.structs.replace(health, milliseconds=spent)
