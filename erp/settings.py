"""The environment, read once at start; everything below the composition root takes plain arguments."""

import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from db.pipeline import Preparing
from db.two_phase import MAIN

N = TypeVar("N", int, float)


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """Addresses of one further database. `two_phase_url`: direct, as the application's role; see db/two_phase.py."""

    database_url: str
    platform_url: str
    two_phase_url: str
    replica_urls: tuple[str, ...] = ()


class MissingSetting(RuntimeError):
    """A required environment variable is not set."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What one process needs to know. Times are seconds unless the name says otherwise."""

    instance: str
    role: str
    database_url: str
    replica_urls: tuple[str, ...]
    platform_url: str
    redis_queue_url: str
    redis_cache_url: str
    redis_locks_url: str
    redis_sessions_url: str
    token_secret: str = field(repr=False)
    operator_key: str = field(repr=False)
    #: The first database's direct address for the second phase; through the pooler unless given.
    two_phase_url: str = field(default="", repr=False)
    #: The payment provider's address; without one, fulfilments wait for their payment.
    payments_url: str = ""
    payments_timeout: float = 5.0
    #: Further databases tenants can be placed on, by name.
    databases: Mapping[str, DatabaseSettings] = field(default_factory=dict, repr=False)
    public_url: str = "https://localhost"
    prepared_statements: Preparing = "off"
    pool_size: int = 10
    replica_pool_size: int = 8
    pool_wait: float = 1.0
    concurrency: int = 48
    queue_wait: float = 1.0
    trusted_proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    key_per_minute: int = 600
    user_per_minute: int = 120
    tenant_per_minute: int = 6_000
    address_per_minute: int = 3_000
    stranger_per_minute: int = 120
    metrics_port: int = 0
    metrics_address: str = "0.0.0.0"  # noqa: S104  # Prometheus and the kubelet come from outside the container
    log_level: str = "INFO"
    otlp_endpoint: str = ""
    api_instances: int = 3
    #: Every instance of a fleet has to be given the same two.
    instance_heartbeat: float = 5.0
    instance_dead_after: float = 20.0
    region: str = ""
    zone: str = ""


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise MissingSetting(f"{name} is not set; see docs/operations.md for every setting.")
    return value


def _preparing(text: str) -> Preparing:
    match text:
        case "off" | "on" | "pooler":
            return text
    raise ValueError(f"ERP_PREPARED_STATEMENTS is off, on or pooler, not {text!r}.")


def _databases(text: str) -> dict[str, DatabaseSettings]:
    """`{"second": {"database_url": ..., "platform_url": ..., "two_phase_url": ..., "replica_urls": [...]}}`"""
    found: dict[str, DatabaseSettings] = msgspec.json.decode(text or "{}", type=dict[str, DatabaseSettings])
    for name in found:
        if not re.fullmatch("[a-z][a-z0-9_]{0,30}", name) or name == MAIN:
            raise ValueError(f"ERP_DATABASES: {name!r} is no name for a further database.")
    return found


def number_of(name: str, value: str | float, kind: Callable[[str | float], N]) -> N:
    """What a variable says, or its default. Raises ValueError that names it: the last line of a start that failed."""
    try:
        return kind(value)
    except ValueError:
        wanted = "a whole number" if kind is int else "a number"
        raise ValueError(f"{name} is {value!r}: it must be {wanted}.") from None


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from `ERP_*` variables. Raises MissingSetting, ValueError."""
    env = os.environ if environment is None else environment

    def number(name: str, default: int) -> int:
        return number_of(name, env.get(name, default), int)

    def seconds(name: str, default: float) -> float:
        return number_of(name, env.get(name, default), float)

    return Settings(
        instance=env.get("ERP_INSTANCE") or f"{socket.gethostname()}-{os.getpid()}",
        role=env.get("ERP_ROLE", "api"),
        database_url=_required(env, "ERP_DATABASE_URL"),
        replica_urls=tuple(url.strip() for url in env.get("ERP_REPLICA_URLS", "").split(",") if url.strip()),
        platform_url=_required(env, "ERP_PLATFORM_DATABASE_URL"),
        redis_queue_url=_required(env, "ERP_REDIS_QUEUE_URL"),
        redis_cache_url=_required(env, "ERP_REDIS_CACHE_URL"),
        redis_locks_url=_required(env, "ERP_REDIS_LOCKS_URL"),
        redis_sessions_url=_required(env, "ERP_REDIS_SESSIONS_URL"),
        token_secret=_required(env, "ERP_TOKEN_SECRET"),
        operator_key=_required(env, "ERP_OPERATOR_KEY"),
        two_phase_url=env.get("ERP_TWO_PHASE_URL") or _required(env, "ERP_DATABASE_URL"),
        databases=_databases(env.get("ERP_DATABASES", "")),
        payments_url=env.get("ERP_PAYMENTS_URL", ""),
        payments_timeout=seconds("ERP_PAYMENTS_TIMEOUT", 5.0),
        public_url=env.get("ERP_PUBLIC_URL", "https://localhost"),
        prepared_statements=_preparing(env.get("ERP_PREPARED_STATEMENTS", "off")),
        pool_size=number("ERP_POOL_SIZE", 10),
        replica_pool_size=number("ERP_REPLICA_POOL_SIZE", 8),
        pool_wait=seconds("ERP_POOL_WAIT", 1.0),
        concurrency=number("ERP_CONCURRENCY", 48),
        queue_wait=seconds("ERP_QUEUE_WAIT", 1.0),
        trusted_proxies=tuple(env.get("ERP_TRUSTED_PROXIES", "127.0.0.1,::1").split(",")),
        key_per_minute=number("ERP_KEY_PER_MINUTE", 600),
        user_per_minute=number("ERP_USER_PER_MINUTE", 120),
        tenant_per_minute=number("ERP_TENANT_PER_MINUTE", 6_000),
        address_per_minute=number("ERP_ADDRESS_PER_MINUTE", 3_000),
        stranger_per_minute=number("ERP_STRANGER_PER_MINUTE", 120),
        metrics_port=number("ERP_METRICS_PORT", 0),
        metrics_address=env.get("ERP_METRICS_ADDRESS", "0.0.0.0"),  # noqa: S104  # see above
        log_level=env.get("ERP_LOG_LEVEL", "INFO"),
        otlp_endpoint=env.get("ERP_OTLP_ENDPOINT", ""),
        api_instances=number("ERP_API_INSTANCES", 3),
        instance_heartbeat=seconds("ERP_INSTANCE_HEARTBEAT", 5.0),
        instance_dead_after=seconds("ERP_INSTANCE_DEAD_AFTER", 20.0),
        region=env.get("ERP_REGION", ""),
        zone=env.get("ERP_ZONE", ""),
    )
