"""The fleet that is measured: one of our own beside any other, with its limits raised, or the one that runs."""

import os
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import urlsplit

from deploy.local.commands import bring_up, end_leftovers, take_down
from deploy.local.errors import LocalFleetError
from deploy.local.layout import Layout, state_layout
from deploy.local.options import read_options
from deploy.local.plan import Plan, make_plan
from deploy.local.status import FleetStatus, is_supervised, read_status
from erp.settings import Settings
from loadtests.processes import cpu_seconds, machine_seconds

PORT_BASE = 23_000
#: What one machine runs into that stands for many: limits per address.
ADDRESS_LIMITS = {
    "ERP_NGINX_RATE": "100000",
    "ERP_NGINX_BURST": "100000",
    "ERP_NGINX_CONNECTIONS": "2000",
    "ERP_ADDRESS_PER_MINUTE": "100000000",
}
#: And what a few keys of one tenant run into long before the fleet is busy.
ALL_LIMITS = {**ADDRESS_LIMITS, "ERP_KEY_PER_MINUTE": "100000000", "ERP_TENANT_PER_MINUTE": "100000000"}
_MEANING = {
    "ERP_NGINX_RATE": "nginx: requests a second and address",
    "ERP_NGINX_BURST": "nginx: burst above that",
    "ERP_NGINX_CONNECTIONS": "nginx: connections of an address",
    "ERP_ADDRESS_PER_MINUTE": "requests a minute and address",
    "ERP_KEY_PER_MINUTE": "requests a minute and API key",
    "ERP_TENANT_PER_MINUTE": "requests a minute and tenant",
}
_GROUPS = {
    "api": ("api-",),
    "primary": ("primary",),
    "standbys": ("replica",),
    "pgbouncer": ("pgbouncer",),
    "redis": ("redis-",),
    "nginx": ("nginx",),
    "workers": ("worker-", "coordinator-"),
}
_RESTART_PATIENCE = 30.0
#: A read goes to a replica only when the memory of recent writes is known to be complete: a minute after the start.
_MEMORY_SECONDS = 61.0
TOO_YOUNG = "waiting {:.0f} s: reads go to replicas when the fleet is a minute old"


class NoFleet(RuntimeError):
    """There is no fleet to measure; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit: what it counts, its default and what it is in this fleet."""

    name: str
    meaning: str
    default: int
    now: int


@dataclass(frozen=True, slots=True)
class Fleet:
    """A running local fleet. `limits`: setting -> limit."""

    plan: Plan
    limits: Mapping[str, Limit]

    @property
    def raised(self) -> list[Limit]:
        """The limits that are not at their defaults."""
        return [limit for limit in self.limits.values() if limit.now != limit.default]

    @property
    def url(self) -> str:
        return self.plan.url

    @property
    def host(self) -> str:
        return "127.0.0.1"

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 443

    @property
    def certificate(self) -> Path:
        return self.plan.layout.certificate

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.certificate))

    @property
    def superuser_url(self) -> str:
        return self.plan.endpoints.superuser_url

    @property
    def application_url(self) -> str:
        """The application's role, straight to the primary."""
        cluster = self.plan.cluster
        return cluster.primary.dsn("erp_app", cluster.credentials.erp_app, "erp")

    @property
    def operator_key(self) -> str:
        return self.plan.endpoints.operator_key

    def cpu(self) -> dict[str, float]:
        """CPU seconds so far by group of processes, of the supervisor and of this process; `machine`: of all."""
        found = self._status()
        groups: dict[str, list[int]] = {name: [] for name in _GROUPS}
        for child in found.children:
            for name, starts in _GROUPS.items():
                if child.pid and child.name.startswith(starts):
                    groups[name].append(child.pid)
        spent = cpu_seconds(groups, {"supervisor": found.pid, "generator": os.getpid()})
        return spent | {"machine": machine_seconds()}

    def _status(self) -> FleetStatus:
        found = read_status(self.plan.layout)
        if found is None:
            raise NoFleet("The fleet has ended.")
        return found

    def restarts(self) -> dict[str, int]:
        """Processes that crashed and were started again, with how often."""
        return {child.name: child.restarts for child in self._status().children if child.restarts}

    @property
    def youngest(self) -> float:
        """When the last of its processes was started, in seconds since the epoch."""
        return max(child.started for child in self._status().children)

    def comes_of_age_in(self) -> float:
        """Seconds, none or less when it has: until then every read goes to the primary."""
        return self.youngest + _MEMORY_SECONDS - time.time()


@contextmanager
def own_fleet(
    limits: Mapping[str, str], name: str, state: Path | None = None, port_base: int = PORT_BASE, *, keep: bool = False
) -> Iterator[Fleet]:
    """A new fleet with an empty database, ended and deleted at the end; `keep` leaves its data and logs there.

    It has a state directory (named after the usual one and `name`) and ports of its own, so that a fleet in use
    is not disturbed. `limits` are set for it. Raises NoFleet.
    """
    usual = state_layout().root
    layout = Layout(state or usual.with_name(f"{usual.name}-{name}"))
    if is_supervised(layout):
        raise NoFleet(f"A fleet runs from {layout.root} already; end it with: ERP_STATE_DIR={layout.root} erp down")
    settings = {**limits, "ERP_STATE_DIR": str(layout.root), "ERP_PORT_BASE": str(port_base)}
    with _environment(settings):
        with _explained():
            end_leftovers(layout)
            layout.delete()
        try:
            with _explained():
                bring_up(layout)
            yield _described(layout)
        finally:
            if is_supervised(layout):
                take_down(layout)
            if not keep:
                layout.delete()


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except LocalFleetError as error:
        raise NoFleet(str(error)) from error


@contextmanager
def running_fleet() -> Iterator[Fleet]:
    """The fleet of the usual state directory, left as it is. Raises NoFleet."""
    layout = state_layout()
    if not is_supervised(layout):
        raise NoFleet(f"No fleet runs from {layout.root}. Start it with: erp up")
    yield _described(layout)


def _described(layout: Layout) -> Fleet:
    plan = make_plan(layout, read_options())
    if plan.balancer is None:
        raise NoFleet("nginx is not installed: what is promised is promised through nginx and TLS.")
    ready = _await_all(layout)
    settings = _environment_of(next(child.pid for child in ready.children if child.name.startswith("api-")))
    return Fleet(plan, limits_of(settings))


def _await_all(layout: Layout) -> FleetStatus:
    """Wait until every process is ready: what is still starting would be measured as load."""
    deadline = time.monotonic() + _RESTART_PATIENCE
    while True:
        found = read_status(layout)
        late = [child.name for child in found.children if child.state != "ready"] if found else ["supervisor"]
        if found is not None and not late:
            return found
        if time.monotonic() > deadline:
            raise NoFleet(f"Not ready: {', '.join(late)}. See `erp status` and `erp logs`.")
        time.sleep(0.1)


def limits_of(settings: Mapping[str, str]) -> dict[str, Limit]:
    """The limits of a fleet whose processes have these settings."""
    usual = read_options({})
    defaults = {
        field.name: int(str(field.default)) for field in fields(Settings) if field.name.endswith("_per_minute")
    }
    known = {
        "ERP_NGINX_RATE": usual.requests_per_second,
        "ERP_NGINX_BURST": usual.burst,
        "ERP_NGINX_CONNECTIONS": usual.connections,
        "ERP_ADDRESS_PER_MINUTE": defaults["address_per_minute"],
        "ERP_KEY_PER_MINUTE": defaults["key_per_minute"],
        "ERP_TENANT_PER_MINUTE": defaults["tenant_per_minute"],
    }
    return {
        name: Limit(name, _MEANING[name], default, int(settings.get(name) or default))
        for name, default in known.items()
    }


def _environment_of(pid: int) -> dict[str, str]:
    """The ERP_* variables a process was started with."""
    words = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    pairs = (word.partition("=") for word in words)
    return {name: value for name, _, value in pairs if name.startswith("ERP_")}


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """What the supervisor we start reads, put back afterwards."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
