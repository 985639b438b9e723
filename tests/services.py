"""Real servers for the tests: one PostgreSQL primary, two standbys, PgBouncer, two Redis servers.

Everything lives in a temporary folder and ends with the test process, however that ends. The cluster is the
local fleet's own, with quorum commit, and differs in `deploy.local.postgres.DISPOSABLE` only (fsync off).
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.local.accounts import Account, service_account
from deploy.local.binaries import find_postgres, find_redis, which
from deploy.local.cluster import Cluster
from deploy.local.credentials import Credentials, draw
from deploy.local.endpoints import Endpoints, describe
from deploy.local.pgbouncer import PgBouncer
from deploy.local.ports import free_port
from deploy.local.postgres import DISPOSABLE, SUPERUSER, PostgresServer
from deploy.local.processes import Program, Running, await_ready, start, tail
from deploy.local.redis import RedisServer
from deploy.local.roles import DATABASE

PREFIX = "erp-tests-"


@dataclass(frozen=True, slots=True)
class Services(Endpoints):
    """Where the test servers are (see `Endpoints`), and the processes behind the addresses."""

    standby_superuser_urls: tuple[str, ...]
    processes: "Processes"


class Processes:
    """The running servers by name, for tests that stop, freeze or kill one and start it again."""

    def __init__(self) -> None:
        self._running: dict[str, Running] = {}
        self._ready: dict[str, Callable[[], bool]] = {}

    def launch(self, program: Program, ready: Callable[[], bool] | None = None) -> Running:
        """Start it; with `ready`, wait until that holds, now and whenever it is started again."""
        self._running[program.name] = start(program)
        if ready is not None:
            self._ready[program.name] = ready
            await_ready(self._running[program.name], ready, 20.0)
        return self._running[program.name]

    def __getitem__(self, name: str) -> Running:
        return self._running[name]

    def __contains__(self, name: str) -> bool:
        return name in self._running

    def restart(self, name: str) -> Running:
        """Stop it if it still runs, and start it with the same command."""
        program = self._running[name].program
        self._running[name].stop()
        return self.launch(program, self._ready.get(name))

    def raise_fallen(self) -> list[str]:
        """Start again what has ended by itself; its name, how it ended and the end of its log."""
        fallen = [one for one in self._running.values() if not one.alive]
        told = [f"{one.program.name} ended with {one.process.returncode}:\n{tail(one.program.log)}" for one in fallen]
        for one in fallen:
            self.restart(one.program.name)
        return told

    def stop_all(self) -> None:
        """End everything at once; the data is thrown away, so nobody waits for a checkpoint."""
        for running in self._running.values():
            if running.alive:
                running.process.send_signal(running.program.death_signal)
        for running in self._running.values():
            running.finish(5.0)


@contextlib.contextmanager
def running_services(replicas: int = 2) -> Iterator[Services]:
    """Start the servers, yield where they are, and end them. The schema is not migrated yet."""
    sweep_leftovers()
    root = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    root.chmod(0o711)
    processes = Processes()
    try:
        yield _start(root, replicas, processes)
    finally:
        processes.stop_all()
        shutil.rmtree(root, ignore_errors=True)


class OtherServer:
    """A PostgreSQL beside the fleet's, without standbys, that a test may kill and start again."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._running: Running
        cluster.bring_up(self._launch)

    def url(self, role: str) -> str:
        """Of the database with the fleet's name."""
        secret = self._cluster.credentials
        passwords = {
            SUPERUSER: secret.superuser, "erp_owner": secret.erp_owner, "erp_app": secret.erp_app,
            "erp_platform": secret.erp_platform,
        }  # fmt: skip
        return self._cluster.primary.dsn(role, passwords[role], DATABASE)

    def kill(self) -> None:
        """kill -9 of the postmaster; its backends end with it."""
        self._running.kill()

    def start_again(self) -> None:
        self._running.sweep()
        running = self._launch(self._cluster.primary.program())
        await_ready(running, lambda: self._cluster.primary.accepts(self._cluster.credentials.superuser), 60.0)

    def end(self) -> None:
        self._running.sweep()

    def _launch(self, program: Program) -> Running:
        self._running = start(program)
        return self._running


@contextlib.contextmanager
def other_server() -> Iterator[OtherServer]:
    """One more server, in its own folder, with the roles and without a schema."""
    root = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    root.chmod(0o711)
    server = OtherServer(_cluster(root, 0, service_account(), draw()))
    try:
        yield server
    finally:
        server.end()
        shutil.rmtree(root, ignore_errors=True)


def sweep_leftovers() -> None:
    """Remove folders of test runs that were killed: their servers ended with them."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        owner = folder.name.removeprefix(PREFIX).split("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(folder, ignore_errors=True)


def _start(root: Path, replicas: int, processes: Processes) -> Services:
    account, credentials = service_account(), draw()
    core = _redis(root, "redis-core", account, credentials, durable=True)
    cache = _redis(root, "redis-cache", account, credentials, durable=False)
    for server in (core, cache):
        processes.launch(server.program())
    cluster = _cluster(root, replicas, account, credentials)
    cluster.bring_up(processes.launch)
    pooler = _pooler(root, account, cluster)
    if pooler is not None:
        processes.launch(pooler.program(), pooler.accepts)
    for server in (core, cache):
        await_ready(processes[server.name], server.accepts, 20.0)
    found = describe(cluster, pooler, core, cache)
    standbys = tuple(one.dsn(SUPERUSER, credentials.superuser, "erp") for one in cluster.replicas)
    return Services(**asdict(found), standby_superuser_urls=standbys, processes=processes)


def _redis(root: Path, name: str, account: Account | None, credentials: Credentials, *, durable: bool) -> RedisServer:
    binary = find_redis(account, root)
    server = RedisServer(
        name=name,
        folder=_folder(root, name, account),
        port=free_port(),
        log=root / f"{name}.log",
        binary=binary,
        account=account,
        password=credentials.redis,
        durable=durable,
    )
    server.configure()
    return server


def _cluster(root: Path, replicas: int, account: Account | None, credentials: Credentials) -> Cluster:
    binaries = find_postgres(account, root)
    parent, sockets = _folder(root, "postgres", account), _folder(root, "sockets", account)

    def server(name: str) -> PostgresServer:
        return PostgresServer(
            name=name,
            data=parent / name,
            port=free_port(),
            sockets=sockets,
            log=root / f"{name}.log",
            binaries=binaries,
            account=account,
            settings=DISPOSABLE,
        )

    standbys = [server(f"replica{number}") for number in range(1, replicas + 1)]
    return Cluster(server("primary"), standbys, credentials, sync=False)


def _pooler(root: Path, account: Account | None, cluster: Cluster) -> PgBouncer | None:
    binary = which("pgbouncer")
    if binary is None:
        return None
    pooler = PgBouncer(
        folder=_folder(root, "pgbouncer", account),
        port=free_port(),
        log=root / "pgbouncer.log",
        binary=binary,
        account=account,
        primary=cluster.primary,
        replicas=cluster.replicas,
        credentials=cluster.credentials,
    )
    pooler.configure()
    return pooler


def _folder(root: Path, name: str, account: Account | None) -> Path:
    folder = root / name
    folder.mkdir(mode=0o700)
    if account is not None:
        account.owns(folder)
    return folder
