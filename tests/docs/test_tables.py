"""Tables of settings, ports and metrics say what the code says."""

import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from deploy.local.options import read_options
from erp.accounting.chart import TEMPLATES
from erp.exchange.imports.registry import IMPORTABLE
from erp.http.cache_tags import STRATEGIES
from erp.http.catalogue import problem_classes
from erp.settings import load_settings
from fleet.configuration.keys import KEYS
from fleet.instruments import REGISTRY
from tests.docs.conftest import DOCS, ROOT
from tests.docs.pages import codes, rows
from workers.settings import WorkerSettings, load_worker_settings

OPERATIONS = DOCS / "operations.md"


class _Asked(dict[str, str]):
    """An environment that notes what is asked of it, and the default that stands in."""

    def __init__(self, **given: str) -> None:
        super().__init__(**given)
        self.defaults: dict[str, str] = {}

    def get(self, key: str, default: Any = None) -> Any:
        self.defaults.setdefault(key, "" if default is None else str(default))
        return super().get(key, default)


def _read_settings() -> dict[str, str]:
    """Every variable `load_settings` reads, with its default; "required" for those it insists on."""
    given: dict[str, str] = {}
    while True:
        asked = _Asked(**given)
        try:
            load_settings(asked)
        except RuntimeError as missing:
            given[str(missing).split()[0]] = "x"
        else:
            return {**asked.defaults, **dict.fromkeys(given, "required")}


def _documented(heading: str) -> dict[str, str]:
    found = {}
    for row in rows(OPERATIONS, heading):
        [name] = row.codes(0)
        found[name] = "".join(row.codes(1)) or row.cells[1]
    return found


def test_every_setting_is_documented_with_its_default() -> None:
    assert _documented("Every process of the application") == _read_settings()


def test_every_setting_of_the_workers_is_documented_with_its_default() -> None:
    real = {f"ERP_WORKER_{field.name.upper()}": str(field.default) for field in fields(WorkerSettings)}
    assert _documented("Workers and coordinators") == real


def test_the_workers_read_the_settings_by_these_names() -> None:
    for name in _documented("Workers and coordinators"):
        assert load_worker_settings({name: "7"}) != WorkerSettings(), name


def test_every_choice_of_the_local_fleet_is_documented() -> None:
    source = "".join(path.read_text() for path in (ROOT / "deploy" / "local").glob("*.py"))
    used = set(re.findall(r'"(ERP_(?:NGINX_[A-Z]+|VIA_[A-Z0-9_]+|STATE_DIR|PORT_BASE|POSTGRES_BIN))"', source))
    shown = _documented("The local fleet")
    assert set(shown) == used
    options = read_options({})
    assert shown["ERP_NGINX_RATE"] == str(options.requests_per_second)
    assert shown["ERP_NGINX_BURST"] == str(options.burst)
    assert shown["ERP_NGINX_CONNECTIONS"] == str(options.connections)


def test_the_ports_are_those_of_a_fleet_without_choices() -> None:
    shown: dict[str, int] = {}
    for row in rows(OPERATIONS, "Processes and ports"):
        ports = [int(port) for port in row.cells[1].split(",")]
        shown.update(zip(row.codes(0), ports, strict=True))
    assert shown == dict(read_options({}).ports)


def _metric_names() -> Iterator[str]:
    for family in REGISTRY.collect():
        yield family.name + ("_total" if family.type == "counter" else "")


def test_every_metric_that_is_named_exists() -> None:
    real = set(_metric_names())
    shown = {name for row in rows(OPERATIONS, "Metrics, logs, traces") for name in row.codes(0)}
    assert len(shown) > 20
    assert shown - real == set()


def test_every_problem_that_is_named_exists() -> None:
    """Words with hyphens between backticks are problems, unless they name something else."""
    others = {*TEMPLATES, *read_options({}).ports, *(name.replace("_", "-") for name in IMPORTABLE), *STRATEGIES}
    named = {name for page in DOCS.rglob("*.md") for name in codes(page) if re.fullmatch(r"[a-z]+(?:-[a-z]+)+", name)}
    assert {"outcome-unknown", "idempotency-in-flight"} <= named
    assert named - set(problem_classes()) - others == set()


def test_every_configuration_key_is_documented() -> None:
    shown = {name for row in rows(DOCS / "configuration.md", "Keys") for name in row.codes(0)}
    assert shown == set(KEYS)
