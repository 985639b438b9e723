"""A local fleet of a test's own: state directory, ports, and every process of it marked in its environment."""

import json
import os
import secrets
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from deploy.local.endpoints import Endpoints
from deploy.local.layout import Layout
from deploy.local.options import Options, read_options
from deploy.local.plan import Plan, make_plan
from deploy.local.ports import free_port, is_free
from deploy.local.status import ChildStatus, FleetStatus, is_supervised, read_status

REPOSITORY = Path(__file__).parents[2]
MARK = "FLEET_TEST_MARK"  # not ERP_*: servers are started without the caller's ERP_* variables
#: Two instances are enough to lose one. One address stands for many callers, so there is no limit that matters.
WITHOUT_LIMITS = {
    "ERP_API_INSTANCES": "2",
    "ERP_NGINX_RATE": "10000",
    "ERP_NGINX_BURST": "10000",
    "ERP_NGINX_CONNECTIONS": "1000",
    "ERP_ADDRESS_PER_MINUTE": "10000000",
    "ERP_KEY_PER_MINUTE": "10000000",
    "ERP_TENANT_PER_MINUTE": "10000000",
    "ERP_USER_PER_MINUTE": "10000000",
    # A killed worker's jobs are given up sooner than usual.
    "ERP_WORKER_JOB_LEASE": "4",
    "ERP_WORKER_JOB_HEARTBEAT": "1",
    "ERP_WORKER_QUEUE_HEARTBEAT_MS": "4000",
}


@dataclass(frozen=True)
class LocalFleet:
    """One state directory and a range of ports; every process of it carries the mark in its environment."""

    root: Path
    base: int
    mark: str
    settings: Mapping[str, str]

    @property
    def environment(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("ERP_")},
            **self.settings,
            "ERP_STATE_DIR": str(self.root / "state"),
            "ERP_PORT_BASE": str(self.base),
            MARK: self.mark,
        }

    @property
    def options(self) -> Options:
        return read_options(self.environment)

    @property
    def layout(self) -> Layout:
        return Layout(self.root / "state")

    @property
    def plan(self) -> Plan:
        return make_plan(self.layout, self.options)

    @property
    def endpoints(self) -> Endpoints:
        return self.plan.endpoints

    @property
    def url(self) -> str:
        return f"https://localhost:{self.options.ports['https']}"

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.layout.certificate))

    def erp(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "erp.cli", *arguments]
        return subprocess.run(
            command, env=self.environment, cwd=REPOSITORY, check=check, text=True, capture_output=True, timeout=300
        )

    def up(self) -> None:
        """Start it, unless all of it is there."""
        if is_supervised(self.layout) and self.all_ready():
            return
        started = self.erp("up", check=False)
        assert started.returncode == 0, started.stdout + started.stderr

    def status(self) -> FleetStatus:
        found = read_status(self.layout)
        assert found is not None
        return found

    def all_ready(self) -> bool:
        found = self.status()
        return found.phase == "running" and all(child.state == "ready" for child in found.children)

    def pids(self) -> dict[str, int]:
        return {child.name: child.pid for child in self.status().children}

    def child(self, name: str) -> ChildStatus:
        return next(child for child in self.status().children if child.name == name)

    def marked(self) -> list[str]:
        """Command lines of all living processes that descend from this fleet."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
        return found

    def serving(self) -> set[str]:
        """Instances that the balancer hands requests to now."""
        headers = {"Authorization": f"Bearer {self.endpoints.operator_key}"}
        with self.client() as client:
            answers = [client.get("/health", headers=headers) for _ in range(12)]
        return {answer.json()["instance"] for answer in answers if answer.is_success}

    def balanced(self) -> bool:
        """True when all is ready and the balancer, told so, has ended the workers of its older lists."""
        master = self.child("nginx").pid
        instances = set(self.options.api_names)
        return self.all_ready() and self.serving() == instances and children_of(master) == os.cpu_count()

    def client(self) -> httpx.Client:
        """Every request on a connection of its own: the balancer ends idle ones whenever it reads its list anew."""
        anew = httpx.Limits(max_keepalive_connections=0)
        return httpx.Client(base_url=self.url, verify=self.trust, trust_env=False, timeout=10, limits=anew)

    def async_client(self, token: str) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.AsyncClient(base_url=self.url, verify=self.trust, trust_env=False, timeout=20, headers=headers)

    def shown(self) -> dict[str, str]:
        """Process -> state, as `erp status --json` says."""
        said = json.loads(self.erp("status", "--json").stdout)
        assert said["phase"] == "running"
        return {one["name"]: one["state"] for one in said["processes"]}


@contextmanager
def local_fleet(settings: Mapping[str, str]) -> Iterator[LocalFleet]:
    """A state directory; whatever runs from it at the end is ended."""
    root = Path(tempfile.mkdtemp(prefix="erp-fleet-"))
    root.chmod(0o711)
    fleet = LocalFleet(root, free_base(), secrets.token_hex(16), settings)
    try:
        yield fleet
    finally:
        fleet.erp("reset", "--yes", check=False)
        shutil.rmtree(root, ignore_errors=True)


def eventually(fact: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Poll until the fact holds; False when it did not in time."""
    deadline = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def children_of(pid: int) -> int:
    """How many living processes it has started."""
    return len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def free_base() -> int:
    """A base whose every port is free."""
    while True:
        base = free_port() // 1000 * 1000
        if all(is_free(port) for port in read_options({"ERP_PORT_BASE": str(base)}).ports.values()):
            return base
