"""Where the servers of a fleet are, and the process environment that tells an application so."""

from collections.abc import Sequence
from dataclasses import dataclass

from deploy.local.cluster import Cluster
from deploy.local.pgbouncer import PgBouncer
from deploy.local.postgres import SUPERUSER
from deploy.local.redis import CACHE, LOCKS, QUEUE, SESSIONS, RedisServer


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses with their passwords. Names follow the settings the application reads."""

    app_url: str
    replica_urls: tuple[str, ...]
    platform_url: str
    owner_url: str
    superuser_url: str
    redis_queue_url: str
    redis_cache_url: str
    redis_locks_url: str
    redis_sessions_url: str
    prepared_statements: bool
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
            "ERP_REDIS_QUEUE_URL": self.redis_queue_url,
            "ERP_REDIS_CACHE_URL": self.redis_cache_url,
            "ERP_REDIS_LOCKS_URL": self.redis_locks_url,
            "ERP_REDIS_SESSIONS_URL": self.redis_sessions_url,
            "ERP_PREPARED_STATEMENTS": "on" if self.prepared_statements else "off",
            "ERP_PUBLIC_URL": public_url,
            "ERP_OPERATOR_KEY": self.operator_key,
            "ERP_TOKEN_SECRET": self.token_secret,
            "ERP_METRICS_PORT": str(metrics_port),
            "ERP_METRICS_ADDRESS": "127.0.0.1",
            "ERP_LOG_LEVEL": "INFO",
        }


def describe(cluster: Cluster, pooler: PgBouncer | None, core: RedisServer, cache: RedisServer) -> Endpoints:
    """The endpoints of these servers: through the pooler where there is one, else direct."""
    primary, secret = cluster.primary, cluster.credentials
    app, platform, readers = _databases(cluster, pooler)
    return Endpoints(
        app_url=app,
        replica_urls=tuple(readers),
        platform_url=platform,
        owner_url=primary.dsn("erp_owner", secret.erp_owner, "erp"),
        superuser_url=primary.dsn(SUPERUSER, secret.superuser, "erp"),
        redis_queue_url=core.url(QUEUE),
        redis_cache_url=cache.url(CACHE),
        redis_locks_url=core.url(LOCKS),
        redis_sessions_url=core.url(SESSIONS),
        prepared_statements=pooler.prepares if pooler is not None else True,
        operator_key=secret.operator_key,
        token_secret=secret.token_secret,
    )


def _databases(cluster: Cluster, pooler: PgBouncer | None) -> tuple[str, str, Sequence[str]]:
    primary, app, platform = cluster.primary, cluster.credentials.erp_app, cluster.credentials.erp_platform
    if pooler is None:
        return (
            primary.dsn("erp_app", app, "erp"),
            primary.dsn("erp_platform", platform, "erp"),
            [one.dsn("erp_app", app, "erp") for one in cluster.replicas],
        )
    return (
        pooler.dsn("erp_app", app, "erp"),
        pooler.dsn("erp_platform", platform, "erp_platform"),
        [pooler.dsn("erp_app", app, f"erp_{one.name}") for one in cluster.replicas],
    )
