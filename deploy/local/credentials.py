"""Passwords and keys of a local fleet: drawn once, kept in the state directory, readable by its owner."""

import json
import os
import secrets
from dataclasses import asdict, dataclass, fields
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Credentials:
    """Everything secret on this machine. `operator_key` opens the platform's routes."""

    superuser: str
    erp_owner: str
    erp_app: str
    erp_platform: str
    replication: str
    redis: str
    operator_key: str
    token_secret: str


def draw() -> Credentials:
    """New random values: URL-safe text, so that they need no quoting in a DSN or a configuration file."""
    return Credentials(**{field.name: secrets.token_urlsafe(32) for field in fields(Credentials)})


def keep(path: Path) -> Credentials:
    """Read the credentials, drawing and writing them (mode 600) on first use."""
    if path.exists():
        return Credentials(**json.loads(path.read_text()))
    drawn = draw()
    write_private(path, json.dumps(asdict(drawn), indent=2))
    return drawn


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, never visible half-written."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)
