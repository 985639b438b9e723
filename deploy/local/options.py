"""What can be chosen about a local fleet, by environment variables; everything has a default."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from deploy.local.errors import LocalFleetError

PORT_BASE = 20_000
EPHEMERAL_FROM = 32_768
QUEUES = ("high", "default", "low")
OFFSETS = {
    "https": 443,
    "http": 80,
    "pgbouncer": 632,
    "primary": 532,
    "replica1": 533,
    "replica2": 534,
    "redis-core": 379,
    "redis-cache": 380,
    "payments": 700,
}
VIA = {
    "redis-core": "ERP_VIA_REDIS_CORE",
    "redis-cache": "ERP_VIA_REDIS_CACHE",
    "replica1": "ERP_VIA_REPLICA1",
    "replica2": "ERP_VIA_REPLICA2",
}
API_OFFSET, WORKER_METRICS_OFFSET, COORDINATOR_METRICS_OFFSET, API_METRICS_OFFSET = 100, 200, 210, 300


@dataclass(frozen=True, slots=True)
class Options:
    """`passed_on`: the caller's ERP_* variables, handed to the application processes unchanged.

    `via`: server -> the port of a proxy in front of it, which the application (Redis) or the pooler (a standby) is
    given instead.
    """

    api_instances: int = 3
    coordinators: int = 2
    replicas: int = 2
    ports: Mapping[str, int] = field(default_factory=dict)
    requests_per_second: int = 10
    burst: int = 20
    connections: int = 10
    disk_sync: bool = True
    via: Mapping[str, int] = field(default_factory=dict)
    passed_on: Mapping[str, str] = field(default_factory=dict)

    @property
    def api_names(self) -> tuple[str, ...]:
        return tuple(f"api-{number}" for number in range(1, self.api_instances + 1))

    @property
    def coordinator_names(self) -> tuple[str, ...]:
        return tuple(f"coordinator-{number}" for number in range(1, self.coordinators + 1))

    @property
    def worker_names(self) -> tuple[str, ...]:
        return tuple(f"worker-{queue}" for queue in QUEUES)


def read_options(environment: Mapping[str, str] | None = None) -> Options:
    """Options from ERP_PORT_BASE, ERP_PORT_<NAME>, ERP_API_INSTANCES, ERP_NGINX_RATE/BURST/CONNECTIONS, ERP_VIA_*."""
    env = os.environ if environment is None else environment
    instances = _number(env, "ERP_API_INSTANCES", 3, 1, 20)
    return Options(
        api_instances=instances,
        ports=_ports(env, instances),
        requests_per_second=_number(env, "ERP_NGINX_RATE", 10, 1, 1_000_000),
        burst=_number(env, "ERP_NGINX_BURST", 20, 0, 1_000_000),
        connections=_number(env, "ERP_NGINX_CONNECTIONS", 10, 1, 65_535),
        via={name: _number(env, asked, 0, 1, 65_535) for name, asked in VIA.items() if env.get(asked)},
        passed_on={name: value for name, value in env.items() if name.startswith("ERP_")},
    )


def _ports(env: Mapping[str, str], instances: int) -> dict[str, int]:
    base = _number(env, "ERP_PORT_BASE", PORT_BASE, 1_024, EPHEMERAL_FROM - 1_000)
    offsets = dict(OFFSETS)
    offsets |= {f"api-{number}": API_OFFSET + number for number in range(1, instances + 1)}
    offsets |= {f"api-{number}-metrics": API_METRICS_OFFSET + number for number in range(1, instances + 1)}
    offsets |= {f"worker-{queue}": WORKER_METRICS_OFFSET + at for at, queue in enumerate(QUEUES, start=1)}
    offsets |= {f"coordinator-{number}": COORDINATOR_METRICS_OFFSET + number for number in (1, 2)}
    return {
        name: _number(env, f"ERP_PORT_{name.upper().replace('-', '_')}", base + offset, 1_024, EPHEMERAL_FROM - 1)
        for name, offset in offsets.items()
    }


def _number(env: Mapping[str, str], name: str, default: int, lowest: int, highest: int) -> int:
    text = env.get(name, "")
    if not text:
        return default
    if not text.isdigit() or not lowest <= int(text) <= highest:
        raise LocalFleetError(
            f"{name} is {text!r}: it must be a whole number from {lowest} to {highest}"
            + (" (the kernel gives higher ports to outgoing connections)." if "PORT" in name else ".")
        )
    return int(text)
