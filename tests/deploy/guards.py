"""What must hold for every workload of ours in Kubernetes. Each guard returns the problems it sees."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from tests.deploy.manifests import Manifest, containers, named, of_kind, pod_of, workloads

QUEUES = ("high", "default", "low")
#: Deployments that take connections from others, and must be forgotten by them before they stop.
SERVING = ("api", "pgbouncer", "nginx")
PRE_STOP_SECONDS = 8
GRACE_SECONDS = 45

Guard = Callable[[list[Manifest]], Iterator[str]]


def _name(found: Manifest) -> str:
    return f"{found['kind']} {found['metadata']['name']}"


def restricted_security(objects: list[Manifest]) -> Iterator[str]:
    """The "restricted" Pod Security Standard and a read-only root file system."""
    for workload in workloads(objects):
        pod = pod_of(workload)
        where, general = _name(workload), pod.get("securityContext", {})
        if general.get("runAsNonRoot") is not True or not general.get("runAsUser", 0) >= 100:
            yield f"{where}: does not say that it runs as another user than root"
        if general.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{where}: has no seccomp profile"
        for forbidden in ("hostNetwork", "hostPID", "hostIPC"):
            if pod.get(forbidden):
                yield f"{where}: {forbidden}"
        if any("hostPath" in volume for volume in pod.get("volumes", [])):
            yield f"{where}: mounts a path of the host"
        for container in containers(pod):
            yield from (f"{where}/{container['name']}: {problem}" for problem in _container_security(container))


def _container_security(container: Manifest) -> Iterator[str]:
    own = container.get("securityContext", {})
    if own.get("allowPrivilegeEscalation") is not False:
        yield "may escalate its privileges"
    if own.get("readOnlyRootFilesystem") is not True:
        yield "can write its root file system"
    if own.get("capabilities", {}).get("drop") != ["ALL"] or own["capabilities"].get("add"):
        yield "keeps capabilities"
    if own.get("privileged") or own.get("runAsUser") == 0 or own.get("runAsNonRoot") is False:
        yield "undoes the pod's restrictions"
    if any("hostPort" in port for port in container.get("ports", [])):
        yield "takes a port of the host"


def no_api_token(objects: list[Manifest]) -> Iterator[str]:
    for workload in workloads(objects):
        pod = pod_of(workload)
        if pod.get("automountServiceAccountToken") is not False or pod.get("serviceAccountName") in (None, "default"):
            yield f"{_name(workload)}: gets a token for the Kubernetes API"
    for account in of_kind(objects, "ServiceAccount"):
        if account.get("automountServiceAccountToken") is not False:
            yield f"{_name(account)}: mounts its token"


def resources_set(objects: list[Manifest]) -> Iterator[str]:
    """Requests for both (the HPA divides by them) and a memory limit."""
    for workload in workloads(objects):
        for container in containers(pod_of(workload)):
            given = container.get("resources", {})
            if not {"cpu", "memory"} <= set(given.get("requests", {})) or "memory" not in given.get("limits", {}):
                yield f"{_name(workload)}/{container['name']}: resources are incomplete"


def pinned_images(objects: list[Manifest]) -> Iterator[str]:
    for workload in workloads(objects):
        for container in containers(pod_of(workload)):
            image = container["image"]
            _, _, tag = image.rpartition("/")[2].partition(":")
            if not tag or tag == "latest":
                yield f"{_name(workload)}: {image} is not pinned"


def probes_set(objects: list[Manifest]) -> Iterator[str]:
    """Start-up, liveness and readiness on every Deployment; ours by the two health paths, never one for both."""
    for deployment in of_kind(objects, "Deployment"):
        for container in pod_of(deployment)["containers"]:
            where = f"{_name(deployment)}/{container['name']}"
            missing = {"startupProbe", "livenessProbe", "readinessProbe"} - set(container)
            if missing:
                yield f"{where}: has no {', '.join(sorted(missing))}"
            elif container["image"].startswith("erp:"):
                paths = {kind: container[kind].get("httpGet", {}).get("path") for kind in
                         ("startupProbe", "livenessProbe", "readinessProbe")}  # fmt: skip
                if paths["livenessProbe"] != "/health/live" or paths["startupProbe"] != "/health/live":
                    yield f"{where}: liveness is not /health/live"
                if paths["readinessProbe"] != "/health/ready":
                    yield f"{where}: readiness is not /health/ready"


def probed_ports_exist(objects: list[Manifest]) -> Iterator[str]:
    """A probe or a Service names a port the container has."""
    for deployment in of_kind(objects, "Deployment"):
        for container in pod_of(deployment)["containers"]:
            ports = {port["name"] for port in container.get("ports", [])}
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                probe = container.get(kind, {})
                port = (probe.get("httpGet") or probe.get("tcpSocket") or {}).get("port")
                if port not in ports:
                    yield f"{_name(deployment)}: {kind} asks the unknown port {port}"
    for service in of_kind(objects, "Service"):
        chosen = [d for d in of_kind(objects, "Deployment") if _selects(service["spec"]["selector"], d)]
        if len(chosen) != 1:
            yield f"{_name(service)}: selects {len(chosen)} Deployments"
            continue
        ports = {port["name"] for container in pod_of(chosen[0])["containers"] for port in container["ports"]}
        yield from (
            f"{_name(service)}: leads to the unknown port {port['targetPort']}"
            for port in service["spec"]["ports"]
            if port["targetPort"] not in ports
        )


def _selects(selector: dict[str, str], deployment: Manifest) -> bool:
    labels: dict[str, str] = deployment["spec"]["template"]["metadata"]["labels"]
    return selector.items() <= labels.items()


def graceful_stop(objects: list[Manifest]) -> Iterator[str]:
    """Endpoints forget an instance before it is told to stop, and it has the time to finish."""
    for deployment in of_kind(objects, "Deployment"):
        name, pod = deployment["metadata"]["name"], pod_of(deployment)
        if pod.get("terminationGracePeriodSeconds") != GRACE_SECONDS:
            yield f"{name}: does not get {GRACE_SECONDS} s to end"
        for container in pod["containers"]:
            sleep = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds")
            if name in SERVING and sleep != PRE_STOP_SECONDS:
                yield f"{name}: does not wait {PRE_STOP_SECONDS} s before it stops"
            timeout = _shutdown_timeout(container.get("command", []))
            if timeout + PRE_STOP_SECONDS >= GRACE_SECONDS:
                yield f"{name}: may take {timeout:g} s to stop, and is killed before"


def _shutdown_timeout(command: list[str]) -> float:
    """Seconds its own server gives work in progress."""
    for option, unit in (("--timeout-graceful-shutdown", 1.0), ("--worker-shutdown-timeout", 0.001)):
        if option in command:
            return float(command[command.index(option) + 1]) * unit
    return 600.0 if "dramatiq" in command else 0.0  # Dramatiq's default


def rolling_without_gap(objects: list[Manifest]) -> Iterator[str]:
    for deployment in of_kind(objects, "Deployment"):
        update = deployment["spec"].get("strategy", {}).get("rollingUpdate", {})
        if update.get("maxSurge") != 1 or update.get("maxUnavailable") != 0:
            yield f"{_name(deployment)}: goes below its size while rolling"


def spread_out(objects: list[Manifest]) -> Iterator[str]:
    for deployment in of_kind(objects, "Deployment"):
        keys = {rule["topologyKey"] for rule in pod_of(deployment).get("topologySpreadConstraints", [])
                if _selects(rule["labelSelector"]["matchLabels"], deployment)}  # fmt: skip
        if keys != {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}:
            yield f"{_name(deployment)}: is not spread over nodes and zones"


def budgeted(objects: list[Manifest]) -> Iterator[str]:
    """Every Deployment has a PodDisruptionBudget that leaves somebody and lets somebody go."""
    budgets = of_kind(objects, "PodDisruptionBudget")
    for deployment in of_kind(objects, "Deployment"):
        found = [b for b in budgets if _selects(b["spec"]["selector"]["matchLabels"], deployment)]
        if len(found) != 1:
            yield f"{_name(deployment)}: has {len(found)} disruption budgets"
        elif not 1 <= found[0]["spec"]["minAvailable"] < smallest_size(objects, deployment):
            yield f"{_name(found[0])}: blocks every drain, or none"


def smallest_size(objects: list[Manifest], deployment: Manifest) -> int:
    for scaler in of_kind(objects, "HorizontalPodAutoscaler"):
        if scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]:
            return int(scaler["spec"]["minReplicas"])
    return int(deployment["spec"].get("replicas", 1))


def autoscaled(objects: list[Manifest]) -> Iterator[str]:
    """API 3-10 by CPU 70 % and memory 80 %, each queue's workers 2-8 by its latency; nobody else sets replicas."""
    scalers = {found["metadata"]["name"]: found for found in of_kind(objects, "HorizontalPodAutoscaler")}
    if set(scalers) != {"api", *(f"worker-{queue}" for queue in QUEUES)}:
        yield f"autoscalers exist for {sorted(scalers)}"
        return
    resources = {m["resource"]["name"]: m["resource"]["target"] for m in scalers["api"]["spec"]["metrics"]}
    if _bounds(scalers["api"]) != (3, 10):
        yield "api: not between 3 and 10"
    if resources.get("cpu") != {"type": "Utilization", "averageUtilization": 70}:
        yield "api: not scaled at 70 % CPU"
    if resources.get("memory") != {"type": "Utilization", "averageUtilization": 80}:
        yield "api: not scaled at 80 % memory"
    for queue in QUEUES:
        scaler = scalers[f"worker-{queue}"]
        metric = scaler["spec"]["metrics"][0].get("external", {}).get("metric", {})
        if _bounds(scaler) != (2, 8):
            yield f"worker-{queue}: not between 2 and 8"
        if metric != {"name": "erp_queue_latency_seconds", "selector": {"matchLabels": {"queue": queue}}}:
            yield f"worker-{queue}: not scaled by the latency of its queue"
    for name, scaler in scalers.items():
        if "replicas" in named(objects, "Deployment", name)["spec"]:
            yield f"{name}: each apply would undo what its autoscaler did"
        if scaler["spec"]["scaleTargetRef"] != {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}:
            yield f"{name}: its autoscaler scales something else"


def _bounds(scaler: Manifest) -> tuple[Any, Any]:
    return scaler["spec"].get("minReplicas"), scaler["spec"]["maxReplicas"]


def worker_per_queue(objects: list[Manifest]) -> Iterator[str]:
    found = {
        tuple(command[command.index("--queues") + 1 : command.index("--processes")])
        for deployment in of_kind(objects, "Deployment")
        if "--queues" in (command := pod_of(deployment)["containers"][0].get("command", []))
    }
    if found != {(queue,) for queue in QUEUES}:
        yield f"workers listen to {sorted(found)}"


def secrets_stay_outside(objects: list[Manifest]) -> Iterator[str]:
    """No Secret is rendered, no value looks like one, and only the migration holds the owner's credentials."""
    yield from (f"{_name(found)}: is part of the manifests" for found in of_kind(objects, "Secret"))
    for found in of_kind(objects, "ConfigMap"):
        for key, text in found.get("data", {}).items():
            if re.search(
                r"(?i)password|secret_?key|_SECRET$|OPERATOR_KEY|DATABASE_URL|REDIS_\w+_URL", key
            ) or re.search(r"://[^/\s]*:[^/\s]+@|BEGIN [A-Z ]*PRIVATE KEY", str(text)):
                yield f"{_name(found)}: {key} belongs into a Secret"
    for workload in workloads(objects):
        names = {
            source["secretRef"]["name"]
            for container in containers(pod_of(workload))
            for source in container.get("envFrom", [])
            if "secretRef" in source
        }
        if ("erp-migrate" in names) is not (workload["metadata"]["name"] == "migrate"):
            yield f"{_name(workload)}: has the owner's credentials, or lacks them"


def network_closed(objects: list[Manifest]) -> Iterator[str]:
    """A policy denies everything; only nginx is open to all; nobody but nginx reaches the API's port."""
    policies = {found["metadata"]["name"]: found["spec"] for found in of_kind(objects, "NetworkPolicy")}
    deny = policies.get("deny-all", {})
    if deny.get("podSelector") != {} or set(deny.get("policyTypes", [])) != {"Ingress", "Egress"} or len(deny) != 2:
        yield "nothing denies what no policy allows"
    for name, spec in policies.items():
        for rule in spec.get("ingress", []):
            if not rule.get("from") and name != "nginx":
                yield f"{name}: is open to everybody"
            ports = {port["port"] for port in rule.get("ports", [])}
            peers = [peer.get("podSelector", {}).get("matchLabels") for peer in rule.get("from", [])]
            if 8000 in ports and peers != [{"app.kubernetes.io/name": "nginx"}]:
                yield f"{name}: others than nginx reach the API"
            if not ports:
                yield f"{name}: opens every port"
        yield from (f"{name}: reaches every port" for rule in spec.get("egress", []) if not rule.get("ports"))


#: Guards of what every overlay must keep, and of what only a real installation has.
ALWAYS: tuple[Guard, ...] = (
    restricted_security, no_api_token, resources_set, pinned_images, probes_set, probed_ports_exist,
    graceful_stop, rolling_without_gap, spread_out, worker_per_queue, secrets_stay_outside, network_closed,
)  # fmt: skip
PRODUCTION: tuple[Guard, ...] = (budgeted, autoscaled)
