"""A real nginx with our configuration in front of three instances of `tests.fleet.backend`."""

import queue
import shutil
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from deploy.local.accounts import service_account
from deploy.local.binaries import which
from deploy.local.nginx import Nginx
from deploy.local.ports import free_port
from deploy.local.processes import Running, await_ready, start
from tests.fleet.backend import Backend, backend


@dataclass(frozen=True)
class Balanced:
    """nginx in front of three instances."""

    nginx: Nginx
    running: Running
    instances: tuple[Backend, ...]
    arrivals: "queue.Queue[str]"

    def client(self, **options: Any) -> httpx.Client:
        return client_of(self.nginx, **options)

    def arrived(self) -> list[str]:
        return [path for instance in self.instances for path in instance.paths]


def client_of(nginx: Nginx, **options: Any) -> httpx.Client:
    """A client that trusts this nginx alone."""
    trust = ssl.create_default_context(cafile=str(nginx.authority))
    return httpx.Client(base_url=nginx.url, verify=trust, trust_env=False, timeout=10, **options)


@contextmanager
def balanced(*, limited: bool = False) -> Iterator[Balanced]:
    """Three instances behind nginx; `limited`: with the default limits, else with none that matter."""
    root = Path(tempfile.mkdtemp(prefix="erp-nginx-"))
    root.chmod(0o711)
    arrivals: queue.Queue[str] = queue.Queue()
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, root)
        nginx = nginx_in(root)
        if not limited:
            nginx = replace(nginx, requests_per_second=10_000, burst=10_000, connections=1_000)
        instances = tuple(
            stack.enter_context(backend(f"api-{at}", port, arrivals)) for at, port in enumerate(nginx.api_ports, 1)
        )
        nginx.configure()
        running = start(nginx.program())
        stack.callback(running.stop)
        await_ready(running, nginx.accepts, 10.0)
        yield Balanced(nginx, running, instances, arrivals)


def nginx_in(root: Path) -> Nginx:
    """Not configured yet, for three instances on free ports."""
    account, binary = service_account(), which("nginx")
    assert binary is not None
    folder = root / "nginx"
    folder.mkdir(mode=0o700)
    if account is not None:
        account.owns(folder)
    return Nginx(
        folder=folder,
        https_port=free_port(),
        http_port=free_port(),
        log=root / "nginx.log",
        access_log=root / "access.log",
        binary=binary,
        account=account,
        api_ports=tuple(free_port() for _ in range(3)),
        authority=root / "authority.pem",
    )
