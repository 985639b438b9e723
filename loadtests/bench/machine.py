"""What the numbers were measured on: the machine, the versions, how durable a commit was."""

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict

from loadtests.fleet import Fleet

_SETTINGS = "SELECT name, current_setting(name) FROM pg_settings"
_STANDBYS = "SELECT application_name, sync_state FROM pg_stat_replication"
_DURABILITY = ("fsync", "synchronous_commit", "synchronous_standby_names", "full_page_writes", "wal_level")
_SIZES = ("shared_buffers", "max_connections")
_PACKAGES = ("litestar", "uvicorn", "uvloop", "psycopg", "sqlalchemy", "msgspec", "redis", "dramatiq")


class Machine(msgspec.Struct, frozen=True):
    """`durability` and `sizes`: settings of the primary as it reported them; `standbys`: how each one follows."""

    cores: int
    model: str
    memory_gib: float
    system: str
    versions: dict[str, str]
    durability: dict[str, str]
    sizes: dict[str, str]
    standbys: dict[str, str]
    processes: dict[str, int]


def describe(fleet: Fleet) -> Machine:
    """Facts about this machine and the fleet on it."""
    plan = fleet.plan
    with psycopg.connect(fleet.superuser_url, autocommit=True) as session:
        settings: dict[str, str] = dict(session.execute(_SETTINGS).fetchall())
        standbys: dict[str, str] = dict(session.execute(_STANDBYS).fetchall())
    programs = {
        "python": platform.python_version(),
        "postgresql": settings["server_version"],
        "redis": _version(str(plan.core.binary), "--version"),
        "nginx": _version(str(plan.balancer.binary), "-v") if plan.balancer else "absent",
        "pgbouncer": _version(str(plan.pooler.binary), "--version") if plan.pooler else "absent",
        "pgbench": _version("pgbench", "--version"),
    }
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        model=_model(Path("/proc/cpuinfo").read_text()),
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        system=f"{platform.system()} {platform.release()}",
        versions=programs | {name: version(name) for name in _PACKAGES},
        durability={name: settings[name] for name in _DURABILITY},
        sizes={name: settings[name] for name in _SIZES},
        standbys=standbys,
        processes={
            "api": plan.options.api_instances,
            "workers": len(plan.options.worker_names),
            "coordinators": plan.options.coordinators,
            "standbys": plan.options.replicas,
        },
    )


def connection_facts(url: str) -> dict[str, str]:
    """Host, port, user, password and database of a connection URL, as libpq's environment variables."""
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    return {names[key]: str(value) for key, value in conninfo_to_dict(url).items() if key in names}


def _version(program: str, argument: str) -> str:
    try:
        shown = subprocess.run([program, argument], capture_output=True, text=True, check=False)
    except OSError:
        return "absent"
    found = re.search(r"\d+(\.\d+)+", shown.stdout + shown.stderr)
    return found.group() if found else "unknown"


def _model(cpuinfo: str) -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found.group(1).strip() if found else platform.machine()
