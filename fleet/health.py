"""Is this process alive, should it get traffic, and how are the things it needs: three different questions.

Liveness and readiness look at this process only: a shared fault (database, Redis) must not make every
instance restart or leave the load balancer at once. The report is for people and dashboards.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fleet.deadline import apart
from fleet.metrics import event_loop_lag_seconds, health_check_status
from fleet.redaction import redact, redact_text

logger = logging.getLogger(__name__)

Status = Literal["healthy", "degraded", "unhealthy"]
_VALUES: dict[Status, float] = {"healthy": 1.0, "degraded": 0.5, "unhealthy": 0.0}


@dataclass(frozen=True, slots=True)
class Identity:
    """Which process answers."""

    instance: str
    role: str
    version: str
    region: str = ""
    zone: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check found; `facts` are numbers and short words, redacted before anybody sees them."""

    status: Status = "healthy"
    detail: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


Check = Callable[[], Awaitable[Outcome | None]]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check in a report; `response_time_ms` is how long it took."""

    status: Status
    response_time_ms: float
    detail: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """The state of everything this process needs; `uptime` in seconds."""

    status: Status
    identity: Identity
    uptime: float
    checks: Mapping[str, CheckResult]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, in the shape of `GET /health`."""
        return {
            "status": self.status,
            "instance": self.identity.instance,
            "role": self.identity.role,
            "version": self.identity.version,
            "region": self.identity.region,
            "zone": self.identity.zone,
            "uptime_seconds": round(self.uptime, 1),
            "checks": {
                name: {
                    "status": result.status,
                    "response_time_ms": round(result.response_time_ms, 2),
                    "detail": result.detail,
                    "facts": dict(result.facts),
                }
                for name, result in self.checks.items()
            },
        }


@dataclass(frozen=True, slots=True)
class _Registered:
    check: Check
    critical: bool


class Health:
    """Runs all checks at once, each within `budget` seconds, and keeps the report for `keep` seconds.

    However many callers ask, at most one run is under way. A check that does not even end when it is
    cancelled stays the only one of its kind: it is reported, not started again.
    """

    def __init__(self, identity: Identity, *, budget: float = 1.0, keep: float = 1.0) -> None:
        self.identity = identity
        self._budget = budget
        self._keep = keep
        self._started = time.monotonic()
        self._checks: dict[str, _Registered] = {}
        self._stuck: dict[str, asyncio.Task[CheckResult]] = {}
        self._report: Report | None = None
        self._fresh_until = 0.0
        self._run: asyncio.Task[Report] | None = None

    def add(self, name: str, check: Check, *, critical: bool = True) -> None:
        """Ask `check` for every report: None or an Outcome, an exception is unhealthy.

        `critical=False`: without it the process works on, so its failure only degrades the whole.
        """
        self._checks[name] = _Registered(check, critical)

    async def report(self) -> Report:
        """The last report when it is fresh, else a new one. Never raises because a check does."""
        if self._report is not None and time.monotonic() < self._fresh_until:
            return self._report
        if self._run is None or self._run.done():
            self._run = asyncio.create_task(self._ask_all(), name="health", context=apart())
        return await asyncio.shield(self._run)  # a caller that leaves must not end it for the others

    async def _ask_all(self) -> Report:
        names = list(self._checks)
        results = dict(zip(names, await asyncio.gather(*map(self._ask, names)), strict=True))
        report = Report(self._overall(results), self.identity, time.monotonic() - self._started, results)
        for name, result in results.items():
            health_check_status.at(name).set(_VALUES[result.status])
        self._report, self._fresh_until = report, time.monotonic() + self._keep
        return report

    async def _ask(self, name: str) -> CheckResult:
        if name in self._stuck and not self._stuck[name].done():
            return CheckResult("unhealthy", self._budget * 1000, "an earlier check has not ended yet")
        self._stuck.pop(name, None)
        started = time.monotonic()
        task = asyncio.create_task(self._checked(name), name=f"health {name}")
        done, _ = await asyncio.wait([task], timeout=self._budget)
        elapsed = (time.monotonic() - started) * 1000
        if not done:
            task.cancel()
            self._stuck[name] = task
            return CheckResult("unhealthy", elapsed, f"no answer within {self._budget:g} s")
        return task.result()

    async def _checked(self, name: str) -> CheckResult:
        started = time.monotonic()
        try:
            outcome = await self._checks[name].check() or Outcome()
        except Exception as error:
            # The text of a driver's error may hold a host or a user name: it goes to the log, redacted.
            logger.warning("health check %s failed: %r", name, error)
            outcome = Outcome("unhealthy", type(error).__name__)
        elapsed = (time.monotonic() - started) * 1000
        return CheckResult(outcome.status, elapsed, redact_text(outcome.detail), redact(outcome.facts))

    def _overall(self, results: Mapping[str, CheckResult]) -> Status:
        if any(result.status == "unhealthy" and self._checks[name].critical for name, result in results.items()):
            return "unhealthy"
        return "healthy" if all(result.status == "healthy" for result in results.values()) else "degraded"


class Liveness:
    """Alive while the event loop still turns. Ask from another thread or from the loop itself.

    A beat every `interval` seconds; silence of more than `patience` seconds means the loop hangs.
    """

    def __init__(self, *, interval: float = 0.5, patience: float = 10.0) -> None:
        self._interval = interval
        self._patience = patience
        self._last = time.monotonic()
        self._next: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to beat on the running loop."""
        self._beat(asyncio.get_running_loop())

    def stop(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None

    @property
    def silence(self) -> float:
        """Seconds since the last beat."""
        return time.monotonic() - self._last

    def alive(self) -> bool:
        return self.silence <= self._patience

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        now = time.monotonic()
        if self._next is not None:
            event_loop_lag_seconds.set(max(0.0, now - self._last - self._interval))
        self._last = now
        self._next = loop.call_later(self._interval, self._beat, loop)


class Readiness:
    """Whether this process wants traffic: started, not draining, and nothing of its own is wedged."""

    def __init__(self) -> None:
        self._started = False
        self._draining = False
        self._paused = False
        self._own: dict[str, Callable[[], bool]] = {}

    def require(self, name: str, holds: Callable[[], bool]) -> None:
        """A condition of this process alone, cheap to ask. Never a shared server's health."""
        self._own[name] = holds

    def start(self) -> None:
        self._started = True

    def drain(self) -> None:
        """From now on not ready, for good: the process is about to end."""
        self._draining = True

    def pause(self) -> None:
        """Not ready until `resume`: an operator takes the process out and may put it back."""
        self._paused = True

    def resume(self) -> None:
        """Undo `pause`; not `drain`, which is for good."""
        self._paused = False

    @property
    def draining(self) -> bool:
        return self._draining or self._paused

    def ready(self) -> bool:
        return not self.reasons()

    def reasons(self) -> list[str]:
        """Why not; empty when ready."""
        reasons = [] if self._started else ["starting"]
        reasons += ["draining"] if self.draining else []
        return reasons + [name for name, holds in self._own.items() if not holds()]
