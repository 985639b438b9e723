"""What only shows with both in place: the real nginx in front of the real application."""

import json
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from deploy.local.binaries import which
from deploy.local.ports import free_port
from deploy.local.processes import Program, await_ready, start
from tests.api.whole.conftest import settings_environment
from tests.fleet.balanced import client_of, nginx_in
from tests.services import Services

pytestmark = pytest.mark.skipif(which("nginx") is None, reason="nginx is not installed on this machine")

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Site:
    """One instance of the application behind nginx: a client with a tenant's key, one without any, both logs."""

    client: httpx.Client
    stranger: httpx.Client
    application_log: Path
    access_log: Path


@pytest.fixture(scope="module")
def site(services: Services) -> Iterator[Site]:
    root = Path(tempfile.mkdtemp(prefix="erp-nginx-"))
    root.chmod(0o711)
    port, log = free_port(), root / "application.log"
    command = (sys.executable, "-m", "uvicorn", "erp.app:create_app", "--factory", "--port", str(port))
    environment = settings_environment(services, "behind-nginx")
    nginx = replace(nginx_in(root), api_ports=(port,), requests_per_second=10_000, burst=10_000, connections=1_000)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, root)
        application = start(Program("application", command, log, ROOT, environment))
        stack.callback(application.stop)
        nginx.configure()
        balancer = start(nginx.program())
        stack.callback(balancer.stop)
        await_ready(balancer, nginx.accepts, 10.0)
        client = stack.enter_context(client_of(nginx))
        await_ready(application, lambda: client.get("/health/ready").status_code == 200, 30.0)
        client.headers["Authorization"] = f"Bearer {new_owner(client, services)}"
        stranger = stack.enter_context(client_of(nginx))
        yield Site(client, stranger, log, nginx.access_log)


def new_owner(client: httpx.Client, services: Services) -> str:
    body = {
        "slug": f"nginx-{uuid.uuid4().hex[:12]}", "name": "Nginx", "base_currency": "GBP", "country": "GB",
        "time_zone": "Europe/London",
    }  # fmt: skip
    made = client.post("/v1/tenants", json=body, headers={"Authorization": f"Bearer {services.operator_key}"})
    return str(made.json()["owner_key"]["secret"])


@contextmanager
def broken(services: Services) -> Iterator[None]:
    """Notices cannot be read: a defect, as far as the application can tell."""
    with psycopg.connect(services.superuser_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE notices RENAME TO notices_away")
        try:
            yield
        finally:
            connection.execute("ALTER TABLE notices_away RENAME TO notices")


def lines_with(log: Path, correlation_id: str) -> list[dict[str, Any]]:
    """The lines of a log about one request; nginx writes its own a second late."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        if found := [line for line in lines if line["correlation_id"] == correlation_id]:
            return found
        time.sleep(0.05)
    return []


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"X-Correlation-Id": "support-case-4711"}, "support-case-4711"),
        ({"X-Request-Id": "trace-of-the-shop"}, "trace-of-the-shop"),
        ({"X-Correlation-Id": "correlation-0815", "X-Request-Id": "request-0815"}, "correlation-0815"),
        ({"X-Correlation-Id": "not;harmless", "X-Request-Id": "request-0816"}, "request-0816"),
        ({"X-Correlation-Id": "under_scored_id"}, None),
        ({}, None),
    ],
)
def test_one_id_leads_from_the_answer_to_both_logs(
    site: Site, services: Services, sent: dict[str, str], kept: str | None
) -> None:
    with broken(services):
        answer = site.client.post(f"/v1/notices/{uuid.uuid4()}/acknowledge", headers=sent)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal-error")
    found = answer.json()["correlation_id"]
    assert kept in (None, found)
    assert answer.headers.get_list("x-correlation-id") == answer.headers.get_list("x-request-id") == [found]
    [logged] = lines_with(site.application_log, found)
    assert (logged["level"], logged["event"]) == ("error", "Unexpected error")
    [access] = lines_with(site.access_log, found)
    assert (access["status"], access["method"]) == (500, "POST")


def test_the_front_door_is_open_through_the_balancer(site: Site) -> None:
    front = site.stranger.get("/")
    assert (front.status_code, front.json()["name"]) == (200, "ERP API")
    for name, link in front.json()["links"].items():
        assert site.stranger.get(link["href"]).status_code == (401 if name == "tenant" else 200), link
    page = site.stranger.get("/", headers={"Accept": "text/html"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    [policy] = page.headers.get_list("content-security-policy")
    assert "style-src 'sha256-" in policy
