"""What runs on this machine: servers found and configured, and the application's processes."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from deploy.local.accounts import Account, application_account, service_account
from deploy.local.binaries import find_postgres, find_redis, which
from deploy.local.cluster import Cluster
from deploy.local.credentials import Credentials, keep
from deploy.local.endpoints import Endpoints, describe
from deploy.local.layout import Layout
from deploy.local.nginx import Nginx
from deploy.local.options import QUEUES, Options
from deploy.local.pgbouncer import PgBouncer
from deploy.local.postgres import UNIX_PATH_LIMIT, PostgresServer
from deploy.local.processes import Program
from deploy.local.redis import RedisServer

REPOSITORY = Path(__file__).resolve().parents[2]
READY_PATH = "/health/ready"
THREADS = 4
# Longer than nginx keeps an idle connection (30 s): the instance must not close one that is being reused.
KEEP_ALIVE_SECONDS = 75
#: What the caller's own environment decides, whatever the fleet would say.
_CHOSEN = frozenset({"ERP_LOG_LEVEL", "ERP_PAYMENTS_URL"})
GRACE_SECONDS = 20
#: Requests come before jobs where they share processors: how far workers and coordinators stand back (`nice`).
STANDS_BACK = 5


@dataclass(frozen=True, slots=True)
class Member:
    """One supervised process, how to see that it is ready, and the port it answers on (0: none)."""

    program: Program
    ready: Callable[[], bool]
    port: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything of one fleet; `notes` say what this machine cannot offer."""

    layout: Layout
    options: Options
    cluster: Cluster
    core: RedisServer
    cache: RedisServer
    pooler: PgBouncer | None
    balancer: Nginx | None
    endpoints: Endpoints
    application: Account | None
    notes: tuple[str, ...]

    @property
    def url(self) -> str:
        """Where clients go."""
        if self.balancer is not None:
            return self.balancer.url
        return f"http://127.0.0.1:{self.options.ports[self.options.api_names[0]]}"

    def ports(self) -> dict[str, int]:
        """Every port the fleet will listen on."""
        absent = set()
        if self.pooler is None:
            absent.add("pgbouncer")
        if self.balancer is None:
            absent |= {"https", "http"}
        return {name: port for name, port in self.options.ports.items() if name not in absent}

    def migrations(self) -> list[Program]:
        """Bring each database to this build's schema."""
        return self._as_owner("migrate", "db.migrations")

    def registrations(self) -> list[Program]:
        """List the statements an old pooler prepares on its server connections."""
        return self._as_owner("statements", "workers.statements")

    def _as_owner(self, name: str, module: str) -> list[Program]:
        first = self._python(name, "migrate", ("-m", module))
        told = {**first.environment, "ERP_DIRECT_DATABASE_URL": self.endpoints.second_owner_url}
        return [first, replace(first, name=f"{name}-second", log=self.layout.log(f"{name}-second"), environment=told)]

    def applications(self) -> list[Member]:
        """API instances, one worker pool a queue, coordinators."""
        return [
            *(self._api(name) for name in self.options.api_names),
            *(self._worker(queue) for queue in QUEUES),
            *(self._coordinator(name) for name in self.options.coordinator_names),
            self._payments(),
        ]

    def _api(self, name: str) -> Member:
        port = self.options.ports[name]
        command = (
            *("-m", "uvicorn", "erp.app:create_app", "--factory", "--host", "127.0.0.1", "--port", str(port)),
            *("--loop", "uvloop", "--http", "erp.http.protocol:JoinedProtocol", "--no-access-log"),
            *("--no-proxy-headers", "--no-server-header", "--log-level", "warning"),
            *("--timeout-keep-alive", str(KEEP_ALIVE_SECONDS)),
            *("--timeout-graceful-shutdown", str(GRACE_SECONDS)),
        )
        metrics_port = self.options.ports[f"{name}-metrics"]
        return Member(self._python(name, "api", command, metrics_port), lambda: answers(port), port)

    def _worker(self, queue: str) -> Member:
        name = f"worker-{queue}"
        port = self.options.ports[name]
        command = (
            *("-m", "dramatiq", "workers.main", "--queues", queue, "--processes", "1", "--skip-logging"),
            *("--threads", str(THREADS), "--worker-shutdown-timeout", str(GRACE_SECONDS * 1_000)),
        )
        program = replace(self._python(name, "worker", command, port), niceness=STANDS_BACK)
        return Member(program, lambda: answers(port), port)

    def _coordinator(self, name: str) -> Member:
        port = self.options.ports[name]
        program = replace(
            self._python(name, "coordinator", ("-m", "workers.coordinator"), port), niceness=STANDS_BACK
        )
        return Member(program, lambda: answers(port), port)

    def _payments(self) -> Member:
        """The sandbox payment provider, on books of its own."""
        port = self.options.ports["payments"]
        program = self._python("payments", "sandbox", ("-m", "erp.sandbox.payments"))
        ledger = self.layout.folder("payments", self.application) / "payments.sqlite3"
        told = {"ERP_SANDBOX_PORT": str(port), "ERP_SANDBOX_LEDGER": str(ledger), "PYTHONUNBUFFERED": "1"}
        # None of the application's passwords: it is a service of others.
        return Member(replace(program, environment=told), lambda: answers(port), port)

    def _python(self, name: str, role: str, arguments: Sequence[str], metrics_port: int = 0) -> Program:
        told = self.endpoints.environment(name, role, public_url=self.url, metrics_port=metrics_port)
        told.setdefault("ERP_PAYMENTS_URL", f"http://127.0.0.1:{self.options.ports['payments']}")
        chosen = {key: value for key, value in self.options.passed_on.items() if key in _CHOSEN}
        return Program(
            name=name,
            command=(sys.executable, *arguments),
            log=self.layout.log(name),
            folder=REPOSITORY,
            environment={**self.options.passed_on, **told, **chosen, "PYTHONUNBUFFERED": "1"},
            account=self.application,
            stop_seconds=GRACE_SECONDS + 5.0,
        )


#: One client for all probes: a new one reads the machine's certificates each time. Nothing it asks uses TLS.
_PROBE = httpx.Client(timeout=1.0, trust_env=False, verify=False, headers={"Connection": "close"})  # noqa: S501


def answers(port: int) -> bool:
    """True when the process on the port says within a second that it is ready."""
    try:
        return _PROBE.get(f"http://127.0.0.1:{port}{READY_PATH}").is_success
    except httpx.HTTPError:
        return False


def make_plan(layout: Layout, options: Options) -> Plan:
    """Find the programs and decide on folders, accounts and addresses. Raises MissingProgram."""
    account = service_account()
    layout.create(account)
    credentials = keep(layout.credentials)
    cluster = _cluster(layout, options, account, credentials)
    core = _redis(layout, options, "redis-core", account, credentials)
    cache = _redis(layout, options, "redis-cache", account, credentials)
    pooler = _pooler(layout, options, account, cluster)
    balancer = _balancer(layout, options, account)
    application = application_account([Path(sys.executable), REPOSITORY / "pyproject.toml"])
    return Plan(
        layout=layout,
        options=options,
        cluster=cluster,
        core=core,
        cache=cache,
        pooler=pooler,
        balancer=balancer,
        endpoints=describe(cluster, pooler, _reached(core, options), _reached(cache, options)),
        application=application,
        notes=tuple(_notes(account, application, pooler, balancer)),
    )


def _reached(server: RedisServer, options: Options) -> RedisServer:
    """The server where the application finds it."""
    return replace(server, port=options.via.get(server.name, server.port))


def _notes(
    account: Account | None, application: Account | None, pooler: PgBouncer | None, balancer: Nginx | None
) -> list[str]:
    notes = []
    if pooler is None:
        notes.append("PgBouncer is not installed: the application connects to PostgreSQL directly.")
    if balancer is None:
        notes.append("nginx is not installed: no TLS and no load balancer; talk to the first API instance.")
    if account is not None and application is None:
        notes.append(f"API and workers run as root: other accounts cannot read {sys.executable} or {REPOSITORY}.")
    return notes


def _cluster(layout: Layout, options: Options, account: Account | None, credentials: Credentials) -> Cluster:
    binaries = find_postgres(account, layout.copies)
    parent, sockets = layout.folder("postgres", account), layout.folder("sockets", account)

    def server(name: str) -> PostgresServer:
        return PostgresServer(
            name=name,
            data=parent / name,
            port=options.ports[name],
            sockets=sockets,
            log=layout.log(name),
            binaries=binaries,
            account=account,
        )

    replicas = [server(f"replica{number}") for number in range(1, options.replicas + 1)]
    return Cluster(server("primary"), replicas, credentials)


def _redis(
    layout: Layout, options: Options, name: str, account: Account | None, credentials: Credentials
) -> RedisServer:
    return RedisServer(
        name=name,
        folder=layout.folder(name, account),
        port=options.ports[name],
        log=layout.log(name),
        binary=find_redis(account, layout.copies),
        account=account,
        password=credentials.redis,
        durable=name == "redis-core",
        socket=_short(layout.doors(account) / f"{name}.sock"),
    )


def _pooler(layout: Layout, options: Options, account: Account | None, cluster: Cluster) -> PgBouncer | None:
    binary = which("pgbouncer")
    if binary is None:
        return None
    return PgBouncer(
        folder=layout.folder("pgbouncer", account),
        port=options.ports["pgbouncer"],
        log=layout.log("pgbouncer"),
        binary=binary,
        account=account,
        primary=cluster.primary,
        replicas=cluster.replicas,
        credentials=cluster.credentials,
        sockets=_short(layout.doors(account)),
        via={one.name: options.via[one.name] for one in cluster.replicas if one.name in options.via},
    )


def _short(path: Path) -> Path | None:
    """Where the path is longer than the kernel takes there is no socket, and clients use the port."""
    return path if len(str(path)) <= UNIX_PATH_LIMIT else None


def _balancer(layout: Layout, options: Options, account: Account | None) -> Nginx | None:
    binary = which("nginx")
    if binary is None:
        return None
    return Nginx(
        folder=layout.folder("nginx", account),
        https_port=options.ports["https"],
        http_port=options.ports["http"],
        log=layout.log("nginx"),
        access_log=layout.log("access"),
        binary=binary,
        account=account,
        api_ports=tuple(options.ports[name] for name in options.api_names),
        authority=layout.certificate,
        requests_per_second=options.requests_per_second,
        burst=options.burst,
        connections=options.connections,
    )
