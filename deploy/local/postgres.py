"""One PostgreSQL primary with two streaming hot standbys and quorum commit."""

import locale
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from deploy.local.accounts import Account
from deploy.local.binaries import PostgresBinaries
from deploy.local.credentials import Credentials, write_private
from deploy.local.processes import Program, complete, run

SUPERUSER = "postgres"
REPLICATION_ROLE = "erp_replication"
UNIX_PATH_LIMIT = 90
OWN_SETTINGS = "erp.conf"

# Sized for one small machine. Durability is PostgreSQL's own default: fsync and synchronous_commit are on.
SETTINGS = {
    "listen_addresses": "'127.0.0.1'",
    "max_connections": "120",
    "shared_buffers": "'128MB'",
    "password_encryption": "'scram-sha-256'",
    "wal_level": "replica",
    "max_wal_senders": "10",
    "max_replication_slots": "10",
    "hot_standby": "on",
    "hot_standby_feedback": "on",  # a reader on a standby is not cancelled by vacuum on the primary
    "max_standby_streaming_delay": "'10s'",
    "wal_keep_size": "'64MB'",
    "max_slot_wal_keep_size": "'1GB'",  # a dead standby must not fill the disk
    "wal_receiver_status_interval": "'1s'",
    "wal_retrieve_retry_interval": "'200ms'",  # a recovered primary's first commits wait for one of them
    "max_prepared_transactions": "32",  # two-phase commit; a standby needs no less than its primary
    "idle_in_transaction_session_timeout": "'10s'",
    "tcp_user_timeout": "'5s'",
    "log_lock_waits": "on",
    "log_min_duration_statement": "'2s'",
    "log_line_prefix": "'%m [%p] %u@%d '",
    "log_timezone": "'UTC'",
    "timezone": "'UTC'",
    "jit": "off",
    "random_page_cost": "1.1",
    # A new database has no statistics: what is planned then walks indexes from end to end until the first ANALYZE,
    # checks of foreign keys most of all.
    "autovacuum_naptime": "'2s'",
    # Each ANALYZE has every connection plan its statements anew, and young tables grow by a tenth all the time.
    "autovacuum_analyze_scale_factor": "0.5",
    "checkpoint_timeout": "'15min'",
    "max_wal_size": "'2GB'",
}
# For clusters thrown away at the end of a test run: kill -9 of a process still loses nothing, because the
# kernel holds what was written; only a power failure of the machine would, and then the run is void anyway.
DISPOSABLE = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "'48MB'"}

HOST_RULES = """\
# Written by the local fleet. Passwords everywhere: other accounts share this machine's loopback.
local all all scram-sha-256
host  all all 127.0.0.1/32 scram-sha-256
host  replication {replication} 127.0.0.1/32 scram-sha-256
"""


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """One data directory and the port it is served on. `binaries` run as `account` when we are root."""

    name: str
    data: Path
    port: int
    sockets: Path
    log: Path
    binaries: PostgresBinaries
    account: Account | None
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def socket_folder(self) -> str:
        """The folder of the Unix socket, or '' where the path is longer than the kernel takes."""
        return str(self.sockets) if len(str(self.sockets)) <= UNIX_PATH_LIMIT else ""

    @property
    def exists(self) -> bool:
        return (self.data / "PG_VERSION").exists()

    def dsn(self, role: str, password: str, database: str) -> str:
        return f"postgresql://{role}:{password}@127.0.0.1:{self.port}/{database}"

    def connect(self, password: str, database: str = "postgres") -> "psycopg.Connection[tuple[Any, ...]]":
        """A superuser session in autocommit."""
        return psycopg.connect(self.dsn(SUPERUSER, password, database), connect_timeout=2, autocommit=True)

    def program(self) -> Program:
        return Program(
            name=self.name,
            command=(self.binaries.program("postgres"), "-D", str(self.data)),
            log=self.log,
            folder=self.data,
            account=self.account,
            stop_signal=signal.SIGINT,  # "fast": end sessions, write a checkpoint, send the rest to standbys
            stop_seconds=30.0,
            death_signal=signal.SIGQUIT,
        )

    def accepts(self, password: str) -> bool:
        """True when a superuser session can be opened."""
        try:
            self.connect(password).close()
        except psycopg.OperationalError:
            return False
        return True

    def streams(self, password: str) -> bool:
        """True on a standby that receives from its primary now."""
        try:
            with self.connect(password) as session:
                rows = session.execute("SELECT 1 FROM pg_stat_wal_receiver WHERE status = 'streaming'").fetchall()
        except psycopg.Error:
            return False
        return bool(rows)


def create_primary(server: PostgresServer, password: str, *, sync: bool = True) -> None:
    """initdb. `sync=False` skips flushing the new files: for clusters that are thrown away."""
    secret = server.data.parent / f".{server.name}-password"
    write_private(secret, password)
    if server.account is not None:
        server.account.owns(secret)
    command = (
        server.binaries.program("initdb"),
        f"--pgdata={server.data}",
        f"--username={SUPERUSER}",
        f"--pwfile={secret}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        f"--lc-ctype={_character_type()}",
        "--data-checksums",
        *(() if sync else ("--no-sync",)),
    )
    try:
        complete(run(command, folder=server.data.parent, account=server.account))
    finally:
        secret.unlink()
    with (server.data / "postgresql.conf").open("a") as file:
        file.write(f"\ninclude '{OWN_SETTINGS}'\n")
    (server.data / "pg_hba.conf").write_text(HOST_RULES.format(replication=REPLICATION_ROLE))


def create_replicas(
    primary: PostgresServer,
    replicas: Sequence[PostgresServer],
    credentials: Credentials,
    *,
    sync: bool = True,
) -> None:
    """Base backups, all at once. Each gets a replication slot named like the server."""
    with primary.connect(credentials.superuser) as session:
        for replica in replicas:
            shutil.rmtree(replica.data, ignore_errors=True)
            session.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s",
                [replica.name],
            )
    secret = {"PGPASSWORD": credentials.replication}
    backups = [
        run(
            _base_backup(primary, replica, sync=sync),
            folder=replica.data.parent,
            account=replica.account,
            environment=secret,
        )
        for replica in replicas
    ]
    for replica, backup in zip(replicas, backups, strict=True):
        complete(backup)
        _own(replica, replica.data / "standby.signal", "")


def _base_backup(primary: PostgresServer, replica: PostgresServer, *, sync: bool) -> tuple[str, ...]:
    return (
        replica.binaries.program("pg_basebackup"),
        f"--pgdata={replica.data}",
        f"--dbname={_replication_source(primary, replica)}",
        "--checkpoint=fast",
        "--wal-method=stream",
        "--create-slot",
        f"--slot={replica.name}",
        *(() if sync else ("--no-sync",)),
    )


def configure_primary(server: PostgresServer, *, quorum: Sequence[str] = ()) -> None:
    """Write our settings. `quorum`: a commit waits until any one of these standbys has flushed it."""
    names = f"'ANY 1 ({', '.join(quorum)})'" if quorum else "''"
    _configure(server, {"synchronous_standby_names": names})


def configure_replica(primary: PostgresServer, replica: PostgresServer, credentials: Credentials) -> None:
    """Write our settings and where to stream from: rewritten at each start, since ports may have moved."""
    source = f"{_replication_source(primary, replica)} password={credentials.replication}"
    _configure(replica, {"primary_conninfo": f"'{source}'", "primary_slot_name": f"'{replica.name}'"})


def _configure(server: PostgresServer, special: Mapping[str, str]) -> None:
    place = {"port": str(server.port), "unix_socket_directories": f"'{server.socket_folder}'"}
    settings = {**SETTINGS, **place, **special, **server.settings}
    text = "".join(f"{name} = {value}\n" for name, value in settings.items())
    _own(server, server.data / OWN_SETTINGS, text)


def _own(server: PostgresServer, path: Path, text: str) -> None:
    write_private(path, text)
    if server.account is not None:
        server.account.owns(path)


def _replication_source(primary: PostgresServer, replica: PostgresServer) -> str:
    return (
        f"host=127.0.0.1 port={primary.port} user={REPLICATION_ROLE} application_name={replica.name} "
        "connect_timeout=3 keepalives_idle=5"
    )


def _character_type() -> str:
    """C.UTF-8 knows the case of accented letters; plain C, which every system has, does not."""
    previous = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
    except locale.Error:
        return "C"
    else:
        return "C.UTF-8"
    finally:
        locale.setlocale(locale.LC_CTYPE, previous)


def reload(server: PostgresServer, password: str) -> None:
    """Make a running server read its settings again."""
    with server.connect(password) as session:
        session.execute("SELECT pg_reload_conf()")


def streaming(primary: PostgresServer, password: str) -> frozenset[str]:
    """Names of the standbys that stream from the primary now."""
    with primary.connect(password) as session:
        rows = session.execute(
            "SELECT application_name FROM pg_stat_replication WHERE state = 'streaming'"
        ).fetchall()
    return frozenset(name for (name,) in rows)


def lost_slots(primary: PostgresServer, password: str) -> frozenset[str]:
    """Standbys whose slot fell behind max_slot_wal_keep_size: they must be built anew."""
    with primary.connect(password) as session:
        rows = session.execute("SELECT slot_name FROM pg_replication_slots WHERE wal_status = 'lost'").fetchall()
    return frozenset(name for (name,) in rows)
