"""Where the servers of a fleet are, and the process environment that tells an application so."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from deploy.local.cluster import Cluster
from deploy.local.pgbouncer import PgBouncer
from deploy.local.postgres import SUPERUSER
from deploy.local.redis import CACHE, LOCKS, QUEUE, SESSIONS, RedisServer
from deploy.local.roles import DATABASE, SECOND

#: Who prepares statements, as the application's setting says it.
Preparing = Literal["off", "on", "pooler"]


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses with their passwords. Names follow the settings the application reads."""

    app_url: str
    replica_urls: tuple[str, ...]
    platform_url: str
    owner_url: str
    superuser_url: str
    two_phase_url: str
    second_app_url: str
    second_replica_urls: tuple[str, ...]
    second_platform_url: str
    second_two_phase_url: str
    second_owner_url: str
    second_superuser_url: str
    redis_queue_url: str
    redis_cache_url: str
    redis_locks_url: str
    redis_sessions_url: str
    prepared_statements: Preparing
    operator_key: str
    token_secret: str

    def environment(
        self, instance: str, role: str, *, public_url: str = "https://localhost", metrics_port: int = 0
    ) -> dict[str, str]:
        """The environment of one application process."""
        return {
            "ERP_INSTANCE": instance,
            "ERP_ROLE": role,
            "ERP_DATABASE_URL": self.app_url,
            "ERP_REPLICA_URLS": ",".join(self.replica_urls),
            "ERP_PLATFORM_DATABASE_URL": self.platform_url,
            "ERP_DIRECT_DATABASE_URL": self.owner_url,
            "ERP_TWO_PHASE_URL": self.two_phase_url,
            "ERP_DATABASES": json.dumps({"second": self._second()}),
            "ERP_REDIS_QUEUE_URL": self.redis_queue_url,
            "ERP_REDIS_CACHE_URL": self.redis_cache_url,
            "ERP_REDIS_LOCKS_URL": self.redis_locks_url,
            "ERP_REDIS_SESSIONS_URL": self.redis_sessions_url,
            "ERP_PREPARED_STATEMENTS": self.prepared_statements,
            "ERP_PUBLIC_URL": public_url,
            "ERP_OPERATOR_KEY": self.operator_key,
            "ERP_TOKEN_SECRET": self.token_secret,
            "ERP_METRICS_PORT": str(metrics_port),
            "ERP_METRICS_ADDRESS": "127.0.0.1",
            "ERP_LOG_LEVEL": "INFO",
        }

    def _second(self) -> dict[str, object]:
        return {
            "database_url": self.second_app_url,
            "platform_url": self.second_platform_url,
            "two_phase_url": self.second_two_phase_url,
            "replica_urls": self.second_replica_urls,
        }


def describe(cluster: Cluster, pooler: PgBouncer | None, core: RedisServer, cache: RedisServer) -> Endpoints:
    """The endpoints of these servers: through the pooler where there is one, else direct."""
    primary, secret = cluster.primary, cluster.credentials
    app, platform, readers = _databases(cluster, pooler, DATABASE)
    second_app, second_platform, second_readers = _databases(cluster, pooler, SECOND)
    return Endpoints(
        app_url=app,
        replica_urls=tuple(readers),
        platform_url=platform,
        owner_url=primary.dsn("erp_owner", secret.erp_owner, "erp"),
        superuser_url=primary.dsn(SUPERUSER, secret.superuser, "erp"),
        two_phase_url=primary.dsn("erp_app", secret.erp_app, DATABASE),
        second_app_url=second_app,
        second_replica_urls=tuple(second_readers),
        second_platform_url=second_platform,
        second_two_phase_url=primary.dsn("erp_app", secret.erp_app, SECOND),
        second_owner_url=primary.dsn("erp_owner", secret.erp_owner, SECOND),
        second_superuser_url=primary.dsn(SUPERUSER, secret.superuser, SECOND),
        redis_queue_url=core.url(QUEUE),
        redis_cache_url=cache.url(CACHE),
        redis_locks_url=core.url(LOCKS),
        redis_sessions_url=core.url(SESSIONS),
        prepared_statements="pooler" if pooler is not None and not pooler.prepares else "on",
        operator_key=secret.operator_key,
        token_secret=secret.token_secret,
    )


def _databases(cluster: Cluster, pooler: PgBouncer | None, name: str) -> tuple[str, str, Sequence[str]]:
    """For requests, for the platform, and of the standbys. The pooler's names begin with the database's."""
    primary, app, platform = cluster.primary, cluster.credentials.erp_app, cluster.credentials.erp_platform
    if pooler is None:
        return (
            primary.dsn("erp_app", app, name),
            primary.dsn("erp_platform", platform, name),
            [one.dsn("erp_app", app, name) for one in cluster.replicas],
        )
    return (
        pooler.dsn("erp_app", app, name),
        pooler.dsn("erp_platform", platform, f"{name}_platform"),
        [pooler.dsn("erp_app", app, f"{name}_{one.name}") for one in cluster.replicas],
    )
