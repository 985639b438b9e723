"""Rendering the Kubernetes overlays, and finding one's way in what comes out."""

import copy
import functools
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("dev", "production")

Manifest = dict[str, Any]

needs_kubectl = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl is not on PATH: nothing renders the overlays"
)


@functools.cache
def _rendered(overlay: str) -> str:
    done = subprocess.run(
        ["kubectl", "kustomize", str(KUBERNETES / "overlays" / overlay)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def render(overlay: str) -> list[Manifest]:
    """Every object of an overlay; a copy of its own for each caller, to break at will."""
    return [found for found in yaml.safe_load_all(_rendered(overlay)) if found]


def of_kind(objects: list[Manifest], kind: str) -> list[Manifest]:
    return [found for found in objects if found["kind"] == kind]


def named(objects: list[Manifest], kind: str, name: str) -> Manifest:
    """The one object of that kind and name; generated ConfigMaps carry a hash behind their name."""
    [found] = [
        found
        for found in of_kind(objects, kind)
        if found["metadata"]["name"] == name or (kind == "ConfigMap" and _stem(found) == name)
    ]
    return found


def _stem(found: Manifest) -> str:
    return str(found["metadata"]["name"]).rpartition("-")[0]


def workloads(objects: list[Manifest]) -> list[Manifest]:
    """Everything that makes pods."""
    return [
        found for found in objects if found["kind"] in ("Deployment", "Job", "StatefulSet", "DaemonSet", "CronJob")
    ]


def pod_of(workload: Manifest) -> Manifest:
    """The pod's spec."""
    spec: Manifest = workload["spec"]["template"]["spec"]
    return spec


def containers(pod: Manifest) -> Iterator[Manifest]:
    yield from pod.get("initContainers", [])
    yield from pod["containers"]


def changed(objects: list[Manifest], kind: str, name: str, path: str, value: Any = None) -> list[Manifest]:
    """The objects with one place set (`value`) or removed (None): "spec.template.spec.containers.0.image"."""
    altered = copy.deepcopy(objects)
    place: Any = named(altered, kind, name)
    *folders, last = path.split(".")
    for step in folders:
        place = place[int(step)] if isinstance(place, list) else place[step]
    key: Any = int(last) if isinstance(place, list) else last
    if value is None:
        del place[key]
    else:
        place[key] = value
    return altered
