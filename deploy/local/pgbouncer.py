"""PgBouncer in transaction mode in front of the primary and each replica."""

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg

from deploy.local.accounts import Account
from deploy.local.binaries import version_of
from deploy.local.credentials import Credentials, write_private
from deploy.local.postgres import PostgresServer
from deploy.local.processes import Program
from deploy.local.roles import DATABASE, SECOND

PREPARED_SINCE = (1, 21)


@dataclass(frozen=True, slots=True)
class PgBouncer:
    """The pooler and the databases it offers: erp, erp_platform, erp_replica1, erp_replica2, ..."""

    folder: Path
    port: int
    log: Path
    binary: Path
    account: Account | None
    primary: PostgresServer
    replicas: Sequence[PostgresServer]
    credentials: Credentials
    pool_size: int = 24
    replica_pool_size: int = 16
    platform_pool_size: int = 10
    second_pool_size: int = 8
    #: A folder for a Unix socket beside the port: some 10 us less of each side's time for a round trip.
    sockets: Path | None = None
    #: Server -> the port of a proxy in front of it that the pooler goes through.
    via: Mapping[str, int] = field(default_factory=dict)

    @property
    def prepares(self) -> bool:
        """True when prepared statements survive transaction pooling (PgBouncer >= 1.21)."""
        return version_of(self.binary, "--version")[:2] >= PREPARED_SINCE

    def dsn(self, role: str, password: str, database: str) -> str:
        if self.sockets is not None:
            return f"postgresql://{role}:{password}@/{database}?host={quote(str(self.sockets))}&port={self.port}"
        return f"postgresql://{role}:{password}@127.0.0.1:{self.port}/{database}"

    def configure(self) -> None:
        """Write pgbouncer.ini and the user list, readable by the pooler's account only."""
        texts = {self._configuration: self._settings(), self._users: self._user_list()}
        for path, text in texts.items():
            write_private(path, text)
            if self.account is not None:
                self.account.owns(path)

    def program(self) -> Program:
        return Program(
            name="pgbouncer",
            command=(str(self.binary), str(self._configuration)),
            log=self.log,
            folder=self.folder,
            account=self.account,
            stop_signal=signal.SIGINT,  # let running transactions end
            stop_seconds=5.0,
        )

    def accepts(self) -> bool:
        """True when a session to the primary can be opened through the pooler."""
        try:
            psycopg.connect(self.dsn("erp_app", self.credentials.erp_app, "erp"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    @property
    def _configuration(self) -> Path:
        return self.folder / "pgbouncer.ini"

    @property
    def _users(self) -> Path:
        return self.folder / "userlist.txt"

    def _user_list(self) -> str:
        users = {
            "erp_app": self.credentials.erp_app,
            "erp_platform": self.credentials.erp_platform,
            "erp_owner": self.credentials.erp_owner,
        }
        return "".join(f'"{name}" "{password}"\n' for name, password in users.items())

    def _settings(self) -> str:
        databases = [
            self._database("erp", self.primary, self.pool_size),
            self._database("erp_platform", self.primary, self.platform_pool_size),
            *(self._database(f"erp_{one.name}", one, self.replica_pool_size) for one in self.replicas),
            self._database(SECOND, self.primary, self.second_pool_size, SECOND),
            self._database(f"{SECOND}_platform", self.primary, self.second_pool_size // 2, SECOND),
            *(self._database(f"{SECOND}_{one.name}", one, self.second_pool_size, SECOND) for one in self.replicas),
        ]
        prepared = "max_prepared_statements = 200\n" if self.prepares else ""
        return (
            "[databases]\n" + "".join(databases) + "\n[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\n"
            f"unix_socket_dir = {self.sockets or ''}\nunix_socket_mode = 0777\n"
            f"auth_type = scram-sha-256\nauth_file = {self._users}\nstats_users = erp_owner\n"
            "pool_mode = transaction\nmax_client_conn = 1000\nserver_lifetime = 1800\n"
            "server_idle_timeout = 300\nserver_connect_timeout = 3\nserver_login_retry = 0.2\n"
            "query_wait_timeout = 3\n"  # refuse in time: the caller's own pool waits for one second
            "server_fast_close = 1\ntcp_keepalive = 1\nlog_connections = 0\nlog_disconnections = 0\n"
            "log_stats = 0\nignore_startup_parameters = extra_float_digits\n" + prepared
        )

    def _database(self, alias: str, server: PostgresServer, size: int, database: str = DATABASE) -> str:
        host, port = server.socket_folder or "127.0.0.1", server.port
        if server.name in self.via:
            host, port = "127.0.0.1", self.via[server.name]
        # Below 1.21 clients cannot prepare; then each server connection prepares what the schema lists.
        prepare = "" if self.prepares else " connect_query='SELECT prepare_statements()'"
        return f"{alias} = host={host} port={port} dbname={database} pool_size={size}{prepare}\n"
