"""The Kubernetes manifests: valid, hardened, complete. Every guard is also shown a manifest it must refuse."""

from typing import Any

import pytest
import yaml

from erp.settings import load_settings
from tests.deploy import guards
from tests.deploy.guards import ALWAYS, PRODUCTION, Guard
from tests.deploy.manifests import (
    KUBERNETES,
    OVERLAYS,
    Manifest,
    changed,
    containers,
    named,
    needs_kubectl,
    of_kind,
    pod_of,
    render,
    workloads,
)
from tests.deploy.schemas import problem_with
from tests.deploy.settings_read import SETTINGS, read_anywhere

pytestmark = needs_kubectl

CONTAINER = "spec.template.spec.containers.0"
POD = "spec.template.spec"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_is_valid(overlay: str) -> None:
    problems = {f"{o['kind']} {o['metadata']['name']}": problem_with(o) for o in render(overlay)}
    assert {name: problem for name, problem in problems.items() if problem} == {}


@pytest.mark.parametrize(
    ("kind", "name", "path", "value"),
    [
        ("Deployment", "api", "spec.revisionHistoryLimit", "five"),
        ("Deployment", "api", f"{CONTAINER}.livenesProbe", {}),
        ("HorizontalPodAutoscaler", "api", "spec.maxReplicas", None),
        ("PodMonitor", "erp", "spec.podMetricsEndpoints.0.intervall", "15s"),
        ("PodMonitor", "erp", "spec.podMetricsEndpoints.0.interval", "often"),
        ("PrometheusRule", "erp", "spec.groups.0.rules.0.expr", None),
        ("Service", "nginx", "apiVersion", "v2"),
    ],
)
def test_an_invalid_object_is_refused(kind: str, name: str, path: str, value: Any) -> None:
    assert problem_with(named(changed(render("production"), kind, name, path, value), kind, name)) is not None


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("guard", ALWAYS, ids=lambda guard: guard.__name__)
def test_every_overlay_keeps(guard: Guard, overlay: str) -> None:
    assert list(guard(render(overlay))) == []


@pytest.mark.parametrize("guard", PRODUCTION, ids=lambda guard: guard.__name__)
def test_production_has(guard: Guard) -> None:
    assert list(guard(render("production"))) == []


BROKEN: list[tuple[Guard, str, str, str, Any]] = [
    (guards.restricted_security, "Deployment", "api", f"{POD}.securityContext.runAsNonRoot", None),
    (guards.restricted_security, "Deployment", "nginx", f"{POD}.securityContext.runAsUser", 0),
    (guards.restricted_security, "Job", "migrate", f"{POD}.securityContext.seccompProfile", None),
    (guards.restricted_security, "Deployment", "api", f"{POD}.hostNetwork", True),
    (guards.restricted_security, "Deployment", "api", f"{POD}.volumes.0", {"name": "tmp", "hostPath": {"path": "/"}}),
    (guards.restricted_security, "Deployment", "api", f"{CONTAINER}.securityContext.readOnlyRootFilesystem", False),
    (guards.restricted_security, "Deployment", "api", f"{CONTAINER}.securityContext.allowPrivilegeEscalation", None),
    (guards.restricted_security, "Deployment", "api", f"{CONTAINER}.securityContext.capabilities.add", ["NET_RAW"]),
    (guards.restricted_security, "Deployment", "api", f"{CONTAINER}.securityContext.capabilities.drop", None),
    (guards.restricted_security, "Deployment", "api", f"{CONTAINER}.securityContext.runAsUser", 0),
    (guards.restricted_security, "Deployment", "api", f"{CONTAINER}.ports.0.hostPort", 80),
    (guards.no_api_token, "Deployment", "worker-low", f"{POD}.automountServiceAccountToken", None),
    (guards.no_api_token, "Deployment", "api", f"{POD}.serviceAccountName", "default"),
    (guards.no_api_token, "ServiceAccount", "erp", "automountServiceAccountToken", True),
    (guards.resources_set, "Deployment", "api", f"{CONTAINER}.resources.requests.cpu", None),
    (guards.resources_set, "Job", "migrate", f"{CONTAINER}.resources.limits", None),
    (guards.pinned_images, "Deployment", "api", f"{CONTAINER}.image", "erp:latest"),
    (guards.pinned_images, "Deployment", "nginx", f"{CONTAINER}.image", "nginx"),
    (guards.probes_set, "Deployment", "coordinator", f"{CONTAINER}.startupProbe", None),
    (guards.probes_set, "Deployment", "worker-high", f"{CONTAINER}.livenessProbe.httpGet.path", "/health/ready"),
    (guards.probes_set, "Deployment", "api", f"{CONTAINER}.readinessProbe.httpGet.path", "/health"),
    (guards.probed_ports_exist, "Deployment", "api", f"{CONTAINER}.readinessProbe.httpGet.port", "web"),
    (guards.probed_ports_exist, "Service", "api", "spec.ports.0.targetPort", "web"),
    (guards.probed_ports_exist, "Service", "pgbouncer", "spec.selector", {"app.kubernetes.io/name": "pooler"}),
    (guards.graceful_stop, "Deployment", "api", f"{CONTAINER}.lifecycle", None),
    (guards.graceful_stop, "Deployment", "nginx", f"{CONTAINER}.lifecycle.preStop.sleep.seconds", 1),
    (guards.graceful_stop, "Deployment", "coordinator", f"{POD}.terminationGracePeriodSeconds", 30),
    (guards.graceful_stop, "Deployment", "worker-low", f"{CONTAINER}.command",
     ["python", "-m", "dramatiq", "workers.main", "--queues", "low", "--processes", "1"]),
    (guards.graceful_stop, "Deployment", "api", f"{CONTAINER}.command", ["--timeout-graceful-shutdown", "40"]),
    (guards.rolling_without_gap, "Deployment", "api", "spec.strategy.rollingUpdate.maxUnavailable", 1),
    (guards.rolling_without_gap, "Deployment", "api", "spec.strategy", None),
    (guards.spread_out, "Deployment", "api", f"{POD}.topologySpreadConstraints.1", None),
    (guards.spread_out, "Deployment", "api",
     f"{POD}.topologySpreadConstraints.0.labelSelector.matchLabels", {"app.kubernetes.io/name": "nginx"}),
    (guards.worker_per_queue, "Deployment", "worker-low", f"{CONTAINER}.command",
     ["python", "-m", "dramatiq", "workers.main", "--queues", "high", "low", "--processes", "1"]),
    (guards.worker_per_queue, "Deployment", "worker-high", f"{CONTAINER}.command", ["python"]),
    (guards.secrets_stay_outside, "ConfigMap", "erp-settings", "data.ERP_OPERATOR_KEY", "x"),
    (guards.secrets_stay_outside, "ConfigMap", "erp-settings", "data.ERP_X", "redis://:secret@cache:6379/0"),
    (guards.secrets_stay_outside, "Deployment", "api", f"{CONTAINER}.envFrom.1.secretRef.name", "erp-migrate"),
    (guards.secrets_stay_outside, "Job", "migrate", f"{CONTAINER}.envFrom.0.secretRef.name", "erp-app"),
    (guards.secrets_stay_outside, "ConfigMap", "erp-settings", "kind", "Secret"),
    (guards.network_closed, "NetworkPolicy", "deny-all", "spec.policyTypes", ["Ingress"]),
    (guards.network_closed, "NetworkPolicy", "deny-all", "spec.podSelector", {"matchLabels": {"a": "b"}}),
    (guards.network_closed, "NetworkPolicy", "pgbouncer", "spec.ingress.0.from", None),
    (guards.network_closed, "NetworkPolicy", "api", "spec.ingress.0.from", [{"podSelector": {}}]),
    (guards.network_closed, "NetworkPolicy", "migrate", "spec.egress.0.ports", None),
    (guards.budgeted, "PodDisruptionBudget", "worker-high", "spec.selector.matchLabels", {"app": "x"}),
    (guards.budgeted, "PodDisruptionBudget", "coordinator", "spec.minAvailable", 2),
    (guards.budgeted, "PodDisruptionBudget", "api", "spec.minAvailable", 0),
    (guards.autoscaled, "HorizontalPodAutoscaler", "api", "spec.maxReplicas", 11),
    (guards.autoscaled, "HorizontalPodAutoscaler", "api", "spec.metrics.0.resource.target.averageUtilization", 90),
    (guards.autoscaled, "HorizontalPodAutoscaler", "api", "spec.metrics.1", None),
    (guards.autoscaled, "HorizontalPodAutoscaler", "worker-low", "spec.minReplicas", 1),
    (guards.autoscaled, "HorizontalPodAutoscaler", "worker-low",
     "spec.metrics.0.external.metric.selector.matchLabels.queue", "high"),
    (guards.autoscaled, "HorizontalPodAutoscaler", "worker-low", "spec.scaleTargetRef.name", "worker-high"),
    (guards.autoscaled, "HorizontalPodAutoscaler", "worker-low", "metadata.name", "worker-slow"),
    (guards.autoscaled, "Deployment", "api", "spec.replicas", 3),
]  # fmt: skip


@pytest.mark.parametrize(
    ("guard", "kind", "name", "path", "value"),
    BROKEN,
    ids=[f"{guard.__name__}: {name} {path}={str(value)[:30]}" for guard, _, name, path, value in BROKEN],
)
def test_a_broken_manifest_is_caught(guard: Guard, kind: str, name: str, path: str, value: Any) -> None:
    assert list(guard(changed(render("production"), kind, name, path, value)))


def test_every_guard_has_a_broken_manifest() -> None:
    assert {guard for guard, *_ in BROKEN} == {*ALWAYS, *PRODUCTION}


# -- settings ------------------------------------------------------------------------------------------


def _example_secrets() -> dict[str, dict[str, str]]:
    text = (KUBERNETES / "secrets.example.yaml").read_text()
    return {found["metadata"]["name"]: found["stringData"] for found in yaml.safe_load_all(text)}


def _environment(objects: list[Manifest], container: Manifest) -> dict[str, str]:
    """What the container will find, with the documented Secrets in place."""
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        if "secretRef" in source:
            found |= _example_secrets()[source["secretRef"]["name"]]
        else:
            reference = source["configMapRef"]["name"]
            found |= next(c["data"] for c in of_kind(objects, "ConfigMap") if c["metadata"]["name"] == reference)
    for variable in container.get("env", []):
        found[variable["name"]] = variable.get("value", "from the pod")
    return found


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("name", ["api", "worker-high", "worker-default", "worker-low", "coordinator"])
def test_a_process_is_told_everything_the_settings_read(name: str, overlay: str) -> None:
    objects = render(overlay)
    [container] = pod_of(named(objects, "Deployment", name))["containers"]
    environment = _environment(objects, container)
    assert SETTINGS - set(environment) == set(), "add it to base/kustomization.yaml or secrets.example.yaml"
    settings = load_settings(environment)
    assert settings.role == name.partition("-")[0]
    assert settings.metrics_port == next(p["containerPort"] for p in container["ports"] if p["name"] == "metrics")
    assert settings.prepared_statements == "on"


def test_the_migration_is_told_where_and_nothing_else() -> None:
    objects = render("production")
    [container] = pod_of(named(objects, "Job", "migrate"))["containers"]
    assert set(_environment(objects, container)) == {"ERP_DIRECT_DATABASE_URL"}


def test_no_setting_is_misspelt() -> None:
    objects = render("production")
    for workload in workloads(objects):
        for container in containers(pod_of(workload)):
            if container["image"].startswith("erp:"):
                assert set(_environment(objects, container)) <= read_anywhere()


def test_the_example_secrets_are_valid_and_hold_no_secret() -> None:
    for found in yaml.safe_load_all((KUBERNETES / "secrets.example.yaml").read_text()):
        assert problem_with(found) is None
        for key, text in found["stringData"].items():
            assert "<" in text, f"{key} looks like a real value"


# -- what only this system needs -------------------------------------------------------------------------


def test_nginx_gets_every_value_its_templates_name() -> None:
    objects = render("production")
    [container] = pod_of(named(objects, "Deployment", "nginx"))["containers"]
    told = _environment(objects, container)
    templates = named(objects, "ConfigMap", "nginx-templates")["data"]
    placeholders = {
        name for file, text in templates.items() if file.endswith(".template") for name in _placeholders(text)
    }
    assert placeholders <= set(told)
    plain = {file for file in templates if not file.endswith(".template")}
    mounted = {mount.get("subPath") for mount in container["volumeMounts"]}
    assert plain <= mounted


@pytest.mark.parametrize(("overlay", "namespace"), [("dev", "erp-dev"), ("production", "erp")])
def test_nginx_asks_for_the_api_of_its_own_namespace(overlay: str, namespace: str) -> None:
    objects = render(overlay)
    servers = named(objects, "ConfigMap", "nginx-settings")["data"]["API_SERVERS"]
    assert f"server api.{namespace}.svc.cluster.local:8000 resolve max_fails=0;" in servers
    assert named(objects, "Service", "api")["spec"]["clusterIP"] == "None"
    [space] = of_kind(objects, "Namespace")
    assert space["metadata"]["name"] == namespace
    assert space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_same_command_starts_an_instance_everywhere() -> None:
    image = _command_of_the_image()
    [container] = pod_of(named(render("production"), "Deployment", "api"))["containers"]
    assert container["command"] == image


def _command_of_the_image() -> list[str]:
    text = (KUBERNETES.parent / "Dockerfile").read_text().replace("\\\n", " ")
    [line] = [line for line in text.splitlines() if line.startswith("CMD ")]
    command: list[str] = yaml.safe_load(line.removeprefix("CMD "))
    return command


def _placeholders(text: str) -> set[str]:
    pieces = text.split("${")[1:]
    return {piece.split("}")[0] for piece in pieces}
