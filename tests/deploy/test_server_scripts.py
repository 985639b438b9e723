"""The shell scripts of the PostgreSQL and PgBouncer containers, run against the real programs."""

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from deploy.local.accounts import Account, service_account
from deploy.local.binaries import find_postgres, version_of, which
from deploy.local.ports import free_port
from deploy.local.processes import Program, Running, await_ready, start

DEPLOY = Path(__file__).parents[2] / "deploy"
#: A password with everything that a script could get wrong.
AWKWARD = "a\"b'c:d\\e $f;" + secrets.token_hex(4)


@dataclass
class Place:
    """A folder the servers may use, the programs, and what was started in it."""

    root: Path
    account: Account | None
    bin: Path
    running: list[Running] = field(default_factory=list)

    def folder(self, name: str) -> Path:
        folder = self.root / name
        folder.mkdir(mode=0o700)
        if self.account is not None:
            self.account.owns(folder)
        return folder

    def program(self, name: str, *command: str, **environment: str) -> Program:
        return Program(
            name=name,
            command=command,
            log=self.root / f"{name}.log",
            folder=self.root,
            environment={"PATH": f"{self.bin}:/usr/sbin:{os.environ['PATH']}", **environment},
            account=self.account,
        )

    def run(self, name: str, *command: str, **environment: str) -> None:
        running = start(self.program(name, *command, **environment))
        assert running.process.wait(60) == 0, (self.root / f"{name}.log").read_text()

    def launch(self, name: str, ready: Callable[[], bool], *command: str, **environment: str) -> Running:
        running = start(self.program(name, *command, **environment))
        self.running.append(running)
        await_ready(running, ready, 60)
        return running


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    root = Path(tempfile.mkdtemp(prefix="erp-scripts-"))
    root.chmod(0o711)
    account = service_account()
    shutil.copytree(DEPLOY / "postgres", root / "postgres")
    shutil.copytree(DEPLOY / "pgbouncer", root / "pgbouncer")
    found = Place(root, account, find_postgres(account, root).folder)
    yield found
    for running in reversed(found.running):
        running.process.kill()
        running.sweep()
    shutil.rmtree(root, ignore_errors=True)


@dataclass(frozen=True)
class Primary:
    port: int
    sockets: Path

    def connect(self, user: str, database: str = "erp") -> "psycopg.Connection[tuple[Any, ...]]":
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=user, dbname=database, password=AWKWARD,
            connect_timeout=2, autocommit=True,
        )  # fmt: skip


@pytest.fixture(scope="module")
def primary(place: Place) -> Primary:
    """A cluster as the official image makes it: initialised, our script run once, then started for good."""
    data, sockets, port = place.folder("primary"), place.folder("sockets"), free_port()
    password = place.root / "password"
    password.write_text(AWKWARD)
    password.chmod(0o644)
    place.run("initdb", str(place.bin / "initdb"), "-D", str(data), "--username=postgres", "--no-sync",
              f"--pwfile={password}", "--auth=scram-sha-256", "--locale=C", "--encoding=UTF8")  # fmt: skip
    options = ("-D", str(data), "-p", str(port), "-k", str(sockets), "-c", "fsync=off",
               "-c", "synchronous_standby_names=ANY 1 (replica1, replica2)")  # fmt: skip
    found = Primary(port, sockets)
    first = place.launch(
        "first", lambda: (sockets / f".s.PGSQL.{port}").exists(), "postgres", *options, "-c", "listen_addresses="
    )
    roles = ("OWNER", "APP", "PLATFORM", "REPLICATION")
    place.run(
        "init", "sh", str(place.root / "postgres" / "init-primary.sh"), PGDATA=str(data), PGHOST=str(sockets),
        PGPORT=str(port), PGPASSWORD=AWKWARD, **{f"ERP_{role}_PASSWORD": AWKWARD for role in roles},
    )  # fmt: skip
    first.stop()
    place.launch("primary", lambda: _answers(found), "postgres", *options, "-c", "listen_addresses=127.0.0.1")
    return found


def test_the_roles_are_what_row_security_needs(primary: Primary) -> None:
    with primary.connect("postgres") as session:
        roles = session.execute(
            "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole, rolreplication FROM pg_roles"
            " WHERE rolname LIKE 'erp_%' ORDER BY rolname"
        ).fetchall()
        [(owner,)] = session.execute(
            "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'erp'"
        ).fetchall()
    assert roles == [
        ("erp_app", False, False, False, False),
        ("erp_owner", False, False, False, False),
        ("erp_platform", False, False, False, False),
        ("erp_replication", False, False, False, True),
    ]
    assert owner == "erp_owner"


def test_only_the_right_roles_reach_the_database(primary: Primary) -> None:
    primary.connect("erp_app").close()
    primary.connect("erp_platform").close()
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        primary.connect("erp_replication")


def test_a_commit_waits_for_a_standby_which_copies_itself_and_returns(place: Place, primary: Primary) -> None:
    data, port = place.folder("replica1"), free_port()
    environment = {
        "PGDATA": str(data), "REPLICA_NAME": "replica1", "PRIMARY_HOST": "127.0.0.1",
        "PRIMARY_PORT": str(primary.port), "ERP_REPLICATION_PASSWORD": AWKWARD,
    }  # fmt: skip
    command = (
        "sh", str(place.root / "postgres" / "start-replica.sh"), "-p", str(port), "-k", str(primary.sockets),
        "-c", "listen_addresses=127.0.0.1", "-c", "hot_standby=on",
    )  # fmt: skip
    (data / "left over from an interrupted copy").write_text("")
    running = place.launch("replica1", lambda: _streams(primary), *command, **environment)
    with primary.connect("erp_owner") as session:
        session.execute("CREATE TABLE written (id integer)")
        session.execute("INSERT INTO written VALUES (1)")  # returns: the quorum is there
    standby = Primary(port, primary.sockets)
    with standby.connect("erp_owner") as session:
        assert session.execute("SELECT count(*) FROM written").fetchone() == (1,)
    assert AWKWARD not in Path(f"/proc/{running.pid}/cmdline").read_text()

    running.stop()
    (data / "survives").write_text("")
    place.launch("replica1 again", lambda: _streams(primary), *command, **environment)
    assert (data / "survives").exists()  # a second start copies nothing


@pytest.mark.skipif(which("pgbouncer") is None, reason="PgBouncer is not installed")
def test_the_pooler_offers_the_databases_and_keeps_its_files_to_itself(place: Place, primary: Primary) -> None:
    pgbouncer = which("pgbouncer")
    assert pgbouncer is not None
    run, port = place.folder("pooler"), free_port()
    text = (place.root / "pgbouncer" / "pgbouncer.ini").read_text().replace("/run/pgbouncer", str(run))
    text = text.replace("listen_port = 6432", f"listen_port = {port}")
    if version_of(pgbouncer, "--version") < (1, 21):
        text = text.replace("max_prepared_statements = 200\n", "")
    configuration = place.root / "pgbouncer" / "test.ini"
    configuration.write_text(text)
    pooled = Primary(port, primary.sockets)
    place.launch(
        "pooler", lambda: _answers(pooled, "erp_app"), "sh", str(place.root / "pgbouncer" / "start.sh"),
        RUN_DIR=str(run), CONFIG=str(configuration), PRIMARY_HOST="127.0.0.1", PRIMARY_PORT=str(primary.port),
        REPLICA_HOSTS=f"127.0.0.1:{primary.port} localhost", ERP_APP_PASSWORD=AWKWARD,
        ERP_PLATFORM_PASSWORD=AWKWARD,
    )  # fmt: skip
    with pooled.connect("erp_platform", "erp_platform") as session:
        assert session.execute("SELECT current_user, current_database()").fetchone() == ("erp_platform", "erp")
    pooled.connect("erp_app", "erp_replica1").close()
    assert {file.name: oct(file.stat().st_mode)[-3:] for file in run.iterdir()} == {
        "userlist.txt": "600", "databases.ini": "600",
    }  # fmt: skip
    assert "erp_replica2 = host=localhost port=5432" in (run / "databases.ini").read_text()


@pytest.mark.parametrize("script", ["pgbouncer/start.sh", "postgres/start-replica.sh"])
def test_a_missing_setting_is_named(script: str) -> None:
    failed = subprocess.run(
        ["sh", DEPLOY / script], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False
    )
    assert failed.returncode != 0
    assert "is not set" in failed.stderr


def _answers(server: Primary, user: str = "postgres") -> bool:
    try:
        server.connect(user, "erp" if user == "erp_app" else "postgres").close()
    except psycopg.OperationalError:
        return False
    return True


def _streams(primary: Primary) -> bool:
    with primary.connect("postgres", "postgres") as session:
        return session.execute("SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'").fetchone() is not None
