"""deploy/compose.yaml: complete, hardened, without a secret. Each guard is shown a file it must refuse."""

import copy
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from deploy.compose_secrets import draw, required_names
from erp.settings import Settings, load_settings
from tests.deploy.compose_file import FILE, SCHEMA, MissingVariable, Service, interpolated, load, services
from tests.deploy.settings_read import SETTINGS, read_anywhere

QUEUES = ("high", "default", "low")
APPLICATION = ("api", "worker-high", "worker-default", "worker-low", "coordinator")
ROLES = {"api": "api", "coordinator": "coordinator", **{f"worker-{queue}": "worker" for queue in QUEUES}}

Guard = Callable[[dict[str, Service]], Iterator[str]]


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables as `python -m deploy.compose_secrets` draws them."""
    folder = tmp_path_factory.mktemp("compose")
    draw(folder, FILE.read_text())
    return dict(line.split("=", 1) for line in (folder / ".env").read_text().splitlines())


# -- guards ------------------------------------------------------------------------------------------------


def hardened(found: dict[str, Service]) -> Iterator[str]:
    for name, service in found.items():
        if service.get("read_only") is not True:
            yield f"{name}: can write its root file system"
        if service.get("cap_drop") != ["ALL"]:
            yield f"{name}: keeps capabilities"
        if service.get("security_opt") != ["no-new-privileges:true"]:
            yield f"{name}: may gain privileges"
        if "build" not in service and service.get("user", "0").partition(":")[0] in ("0", "root"):
            yield f"{name}: runs as root"


def watched(found: dict[str, Service]) -> Iterator[str]:
    """Every service but the migration has a health check, comes back, and is waited for."""
    for name, service in found.items():
        if name != "migrate" and "healthcheck" not in service:
            yield f"{name}: has no health check"
        if service.get("restart") != ("on-failure" if name == "migrate" else "unless-stopped"):
            yield f"{name}: does not come back"
        for needed, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if needed == "migrate" else "service_healthy"
            if needed not in found or how["condition"] != wanted:
                yield f"{name}: does not wait for {needed}"
    for name in APPLICATION:
        if set(found[name].get("depends_on", {})) != {"migrate", "pgbouncer", "redis-core", "redis-cache"}:
            yield f"{name}: starts before what it needs"


def bounded(found: dict[str, Service]) -> Iterator[str]:
    for name in APPLICATION:
        if "memory" not in found[name].get("deploy", {}).get("resources", {}).get("limits", {}):
            yield f"{name}: may take all memory"
        if found[name].get("stop_grace_period") != "45s":
            yield f"{name}: may be killed while it finishes"


def pinned(found: dict[str, Service]) -> Iterator[str]:
    for name, service in found.items():
        tag = service["image"].rpartition("/")[2].partition(":")[2]
        if not re.search(r"\d+\.\d+", tag):
            yield f"{name}: {service['image']} is not pinned"


def whole_fleet(found: dict[str, Service]) -> Iterator[str]:
    """Three API instances, two coordinators, a worker per queue, two standbys, two kinds of Redis."""
    sizes = {name: found[name].get("deploy", {}).get("replicas") for name in ("api", "coordinator")}
    if sizes != {"api": "${ERP_API_INSTANCES:-3}", "coordinator": 2}:
        yield f"sizes are {sizes}"
    for queue in QUEUES:
        command = found[f"worker-{queue}"]["command"]
        if command[command.index("--queues") + 1 : command.index("--processes")] != [queue]:
            yield f"worker-{queue}: listens to something else"
    if "-csynchronous_standby_names=ANY 1 (replica1, replica2)" not in found["primary"]["command"]:
        yield "commits wait for no standby"
    for name, policy in (("redis-core", "noeviction"), ("redis-cache", "allkeys-lru")):
        if f"--maxmemory-policy {policy}" not in found[name]["command"][-1]:
            yield f"{name}: may forget, or may not"
    if "--appendonly yes" not in found["redis-core"]["command"][-1]:
        yield "redis-core: forgets at a restart"


def closed(found: dict[str, Service]) -> Iterator[str]:
    """Only nginx is published; tools are on the loopback address; nobody but nginx and the API meet."""
    for name, service in found.items():
        for port in service.get("ports", []):
            if name != "nginx" and not port.startswith("127.0.0.1:"):
                yield f"{name}: is published"
        networks = set(service["networks"])
        wanted = {"nginx": {"front"}, "api": {"front", "back"}}.get(name, {"back"})
        if networks != wanted:
            yield f"{name}: is on {sorted(networks)}"
    if found["api"]["environment"]["ERP_TRUSTED_PROXIES"] != found["nginx"]["networks"]["front"]["ipv4_address"]:
        yield "api: trusts another proxy than nginx"


def no_secret_inside(found: dict[str, Service]) -> Iterator[str]:
    """Whatever is a secret comes from outside and is insisted on, and the owner's password goes to two places."""
    for name, service in found.items():
        for key, text in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|OPERATOR_KEY|AUTH$", key) and not re.fullmatch(r"\$\{\w+:\?[^}]*\}", text):
                yield f"{name}: {key} is not taken from outside"
            if re.search(r"://\w*:(?!\$\{\w+:\?)", text):
                yield f"{name}: {key} holds a password"
        holds = any("ERP_OWNER_PASSWORD" in text for text in service.get("environment", {}).values())
        if holds is not (name in ("migrate", "primary")):
            yield f"{name}: holds the owner's password, or lacks it"


GUARDS: tuple[Guard, ...] = (hardened, watched, bounded, pinned, whole_fleet, closed, no_secret_inside)

BROKEN: list[tuple[Guard, str, Any]] = [
    (hardened, "api.read_only", False),
    (hardened, "nginx.cap_drop", []),
    (hardened, "redis-core.security_opt", []),
    (hardened, "primary.user", "root"),
    (watched, "pgbouncer.healthcheck", None),
    (watched, "api.restart", "no"),
    (watched, "api.depends_on.migrate.condition", "service_started"),
    (watched, "worker-low.depends_on.redis-core", None),
    (bounded, "coordinator.deploy.resources", {}),
    (bounded, "api.stop_grace_period", "10s"),
    (pinned, "primary.image", "postgres:latest"),
    (pinned, "nginx.image", "nginx"),
    (whole_fleet, "coordinator.deploy.replicas", 1),
    (whole_fleet, "worker-low.command", ["python", "-m", "dramatiq", "--queues", "high", "--processes", "1"]),
    (whole_fleet, "primary.command", ["postgres"]),
    (whole_fleet, "redis-core.command", ["redis-server --maxmemory-policy allkeys-lru"]),
    (closed, "primary.ports", ["5432:5432"]),
    (closed, "primary.networks", ["front", "back"]),
    (closed, "api.environment.ERP_TRUSTED_PROXIES", "0.0.0.0/0"),
    (no_secret_inside, "api.environment.ERP_OPERATOR_KEY", "letmein"),
    (no_secret_inside, "api.environment.ERP_TOKEN_SECRET", "${ERP_TOKEN_SECRET:-default}"),
    (no_secret_inside, "api.environment.ERP_REDIS_CACHE_URL", "redis://:letmein@redis-cache:6379/1"),
    (no_secret_inside, "api.environment.X", "${ERP_OWNER_PASSWORD:?}"),
]


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.__name__)
def test_the_file_keeps(guard: Guard) -> None:
    assert list(guard(services())) == []


@pytest.mark.parametrize(("guard", "path", "value"), BROKEN, ids=[f"{g.__name__}: {p}" for g, p, _ in BROKEN])
def test_a_broken_file_is_caught(guard: Guard, path: str, value: Any) -> None:
    altered = copy.deepcopy(services())
    place: Any = altered
    *folders, last = path.split(".")
    for step in folders:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    assert list(guard(altered))


def test_every_guard_has_a_broken_file() -> None:
    assert {guard for guard, *_ in BROKEN} == set(GUARDS)


# -- shape and settings ------------------------------------------------------------------------------------


def test_the_file_is_valid() -> None:
    jsonschema.validate(load(), SCHEMA)


@pytest.mark.parametrize("path", ["services.api.heathcheck", "service", "services.api.deploy.replica"])
def test_a_misspelt_key_is_refused(path: str) -> None:
    altered = load()
    place: Any = altered
    *folders, last = path.split(".")
    for step in folders:
        place = place[step]
    place[last] = {}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(altered, SCHEMA)


@pytest.mark.parametrize("name", APPLICATION)
def test_a_process_is_told_everything_the_settings_read(name: str, secrets: dict[str, str]) -> None:
    environment = interpolated(services()[name]["environment"], secrets)
    assert SETTINGS - set(environment) == set(), "add it to x-environment"
    assert set(environment) <= read_anywhere()
    settings = load_settings(environment)
    assert settings.role == ROLES[name]
    assert settings.metrics_port == 9100
    assert settings.prepared_statements == "on"
    assert len(settings.replica_urls) == 2


def test_tunable_values_default_to_what_the_application_would_take(secrets: dict[str, str]) -> None:
    settings = load_settings(interpolated(services()["api"]["environment"], secrets))
    tunable = [f for f in fields(Settings) if isinstance(f.default, int | float)]
    chosen_here = {"prepared_statements", "metrics_port"}
    different = {f.name for f in tunable if getattr(settings, f.name) != f.default}
    assert different <= chosen_here


def test_the_four_uses_of_redis_are_four_databases_on_two_servers(secrets: dict[str, str]) -> None:
    environment = interpolated(services()["api"]["environment"], secrets)
    places = {use: environment[f"ERP_REDIS_{use}_URL"].rpartition("@")[2] for use in
              ("QUEUE", "CACHE", "LOCKS", "SESSIONS")}  # fmt: skip
    assert places == {
        "QUEUE": "redis-core:6379/0", "CACHE": "redis-cache:6379/1",
        "LOCKS": "redis-core:6379/2", "SESSIONS": "redis-core:6379/3",
    }  # fmt: skip


def test_a_missing_secret_stops_the_start() -> None:
    with pytest.raises(MissingVariable):
        interpolated(services()["api"]["environment"], {})


def test_every_mounted_file_exists() -> None:
    folder = FILE.parent
    for name, service in services().items():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith(".") and source != "./tls":
                assert (folder / source).exists(), f"{name}: {source}"


def test_nginx_gets_every_value_its_templates_name(secrets: dict[str, str]) -> None:
    told = interpolated(services()["nginx"]["environment"], secrets)
    for template in (FILE.parents[1] / "nginx").glob("*.template"):
        assert set(re.findall(r"\$\{([A-Z0-9_]+)\}", template.read_text())) <= set(told)


# -- the secrets are drawn once ----------------------------------------------------------------------------


def test_secrets_are_drawn_once_and_private(tmp_path: Path) -> None:
    text = FILE.read_text()
    assert set(draw(tmp_path, text)) == set(required_names(text))
    first = (tmp_path / ".env").read_text()
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert draw(tmp_path, text) == []
    assert (tmp_path / ".env").read_text() == first
    assert draw(tmp_path, text + "${ERP_NEW_SECRET:?}") == ["ERP_NEW_SECRET"]
    assert (tmp_path / ".env").read_text().startswith(first)
    assert (tmp_path / "tls" / "tls.crt").read_text().startswith("-----BEGIN CERTIFICATE-----")


def test_drawn_values_need_no_quoting_in_an_address(secrets: dict[str, str]) -> None:
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{32,}", value) for value in secrets.values())
