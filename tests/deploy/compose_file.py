"""Reading deploy/compose.yaml as Docker Compose would: merged, interpolated, checked against a schema."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.manifests import ROOT

FILE = ROOT / "deploy" / "compose.yaml"

Service = dict[str, Any]

_VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:(?P<operator>:-|:\?)(?P<rest>[^}]*))?\})"
)

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_DURATION = {"type": "string", "pattern": "^([0-9]+(ms|s|m|h))+$"}
_SIZE = {"type": "string", "pattern": "^[0-9]+[kmgKMG]$"}
_COMMAND = {"type": "array", "items": _TEXT, "minItems": 1}


def _closed(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": list(required)}


_SERVICE = _closed(
    {
        "image": _TEXT,
        "build": _closed({"context": _TEXT, "dockerfile": _TEXT}, "context"),
        "profiles": _TEXTS,
        "user": _TEXT,
        "entrypoint": _COMMAND,
        "command": _COMMAND,
        "environment": {"type": "object", "additionalProperties": _TEXT},
        "volumes": _TEXTS,
        "tmpfs": _TEXTS,
        "ports": _TEXTS,
        "networks": {"anyOf": [_TEXTS, {"type": "object", "additionalProperties": _closed({"ipv4_address": _TEXT})}]},
        "read_only": {"type": "boolean"},
        "cap_drop": _TEXTS,
        "security_opt": _TEXTS,
        "shm_size": _SIZE,
        "stop_signal": _TEXT,
        "stop_grace_period": _DURATION,
        "restart": {"enum": ["no", "always", "on-failure", "unless-stopped"]},
        "logging": _closed({"driver": _TEXT, "options": {"type": "object", "additionalProperties": _TEXT}}),
        "healthcheck": _closed(
            {"test": _COMMAND, "interval": _DURATION, "timeout": _DURATION, "start_period": _DURATION,
             "retries": {"type": "integer"}},
            "test",
        ),
        "depends_on": {
            "type": "object",
            "additionalProperties": _closed(
                {"condition": {"enum": ["service_started", "service_healthy", "service_completed_successfully"]}},
                "condition",
            ),
        },
        "deploy": _closed(
            {
                "replicas": {"type": ["integer", "string"]},
                "resources": _closed({"limits": _closed({"memory": _SIZE})}),
            }
        ),
    },
    "image",
)  # fmt: skip

#: The part of the Compose specification this file uses: a misspelt key is not in it.
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "patternProperties": {"^x-": {}},
    "properties": {
        "name": _TEXT,
        "services": {"type": "object", "additionalProperties": _SERVICE},
        "networks": {"type": "object"},
        "volumes": {"type": "object"},
    },
    "required": ["services"],
}


class MissingVariable(LookupError):
    """A variable the file insists on (`${NAME:?}`) is not set."""


def load(path: Path = FILE) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


def services(path: Path = FILE) -> dict[str, Service]:
    found: dict[str, Service] = load(path)["services"]
    return found


def interpolated(value: Any, environment: Mapping[str, str]) -> Any:
    """The value with `${NAME}`, `${NAME:-default}`, `${NAME:?message}` and `$$` replaced. Raises MissingVariable."""
    if isinstance(value, Mapping):
        return {key: interpolated(item, environment) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolated(item, environment) for item in value]
    return _VARIABLE.sub(lambda found: _replace(found, environment), value) if isinstance(value, str) else value


def _replace(found: re.Match[str], environment: Mapping[str, str]) -> str:
    if found["escaped"]:
        return "$"
    given = environment.get(found["name"], "")
    if given or found["operator"] is None:
        return given
    if found["operator"] == ":-":
        return found["rest"]
    raise MissingVariable(found["name"])
