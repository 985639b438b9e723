"""The load balancer's configuration on the real nginx, in front of real HTTP instances."""

import http.client
import json
import re
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from deploy.local.binaries import which
from deploy.local.nginx import TEMPLATES, render
from erp.http.catalogue import problem_classes
from tests.fleet.balanced import Balanced, balanced

pytestmark = pytest.mark.skipif(which("nginx") is None, reason="nginx is not installed on this machine")


@pytest.fixture(scope="module")
def wide() -> Iterator[Balanced]:
    """Limits out of the way."""
    with balanced() as found:
        yield found


@pytest.fixture
def tight() -> Iterator[Balanced]:
    """The default limits, fresh."""
    with balanced(limited=True) as found:
        yield found


def problem(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["status"] == answer.status_code
    assert found["correlation_id"] == answer.headers["x-request-id"] == answer.headers["x-correlation-id"]
    assert found["instance"] == answer.request.url.path
    return found


def test_requests_spread_over_all_instances(wide: Balanced) -> None:
    with wide.client() as client:
        seen = {client.get("/v1/parties").json()["instance"] for _ in range(12)}
    assert seen == {"api-1", "api-2", "api-3"}


def test_caller_cannot_forge_where_it_comes_from(wide: Balanced) -> None:
    forged = {"X-Forwarded-For": "6.6.6.6", "X-Real-IP": "6.6.6.6", "Forwarded": "for=6.6.6.6", "Proxy": "evil"}
    with wide.client() as client:
        told = client.get("/v1/parties", headers=forged).json()["headers"]
    assert told["x-forwarded-for"] == "127.0.0.1"
    assert told["x-real-ip"] == "127.0.0.1"
    assert told["x-forwarded-proto"] == "https"
    assert "forwarded" not in told
    assert "proxy" not in told


IDS = ("x-correlation-id", "x-request-id")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"X-Request-Id": "order-4711-abc"}, "order-4711-abc"),
        ({"X-Correlation-Id": "order-4711-abc"}, "order-4711-abc"),
        ({"X-Correlation-Id": "correlation-1", "X-Request-Id": "request-0001"}, "correlation-1"),
        ({"X-Correlation-Id": "short", "X-Request-Id": "request-0001"}, "request-0001"),
        ({"X-Correlation-Id": "A" * 64}, "A" * 64),
        ({}, None),
        ({"X-Request-Id": 'x" evil'}, None),
        ({"X-Request-Id": "under_scored_id"}, None),
        ({"X-Correlation-Id": "A" * 65, "X-Request-Id": "A" * 7}, None),
        ({"X-Correlation-Id": "${jndi:ldap}"}, None),
    ],
)
def test_one_harmless_id_names_a_request_on_both_sides(
    wide: Balanced, sent: dict[str, str], kept: str | None
) -> None:
    with wide.client() as client:
        for path in ("/v1/parties", "/refused", "/metrics"):
            answer = client.get(path, headers=sent)
            found = {answer.headers[name] for name in IDS}
            if path != "/metrics":  # which the application never sees
                found |= {answer.json()["headers"][name] for name in IDS}
            assert len(found) == 1
            assert found == {kept} if kept else re.fullmatch("[0-9a-f]{32}", found.pop())


def test_an_id_that_comes_twice_reaches_the_application_once(wide: Balanced) -> None:
    twice = [("X-Correlation-Id", "correlation-1"), ("X-Correlation-Id", "correlation-2")]
    with wide.client() as client:
        answer = client.get("/v1/parties", headers=twice)
    assert answer.json()["headers"]["x-correlation-id"] == answer.headers["x-correlation-id"]
    assert "," not in answer.headers["x-correlation-id"]


def test_security_headers_are_on_answers_and_refusals(wide: Balanced) -> None:
    with wide.client() as client:
        for answer in (client.get("/"), client.get("/refused"), client.get("/metrics")):
            assert answer.headers["strict-transport-security"] == "max-age=0"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
            assert answer.headers["server"] == "nginx"


def test_browsers_are_told_to_insist_on_https_for_real_host_names(wide: Balanced) -> None:
    with wide.client(headers={"Host": "erp.example.com"}) as client:
        assert client.get("/").headers["strict-transport-security"] == "max-age=31536000"


def test_page_may_bring_its_own_content_policy(wide: Balanced) -> None:
    with wide.client() as client:
        assert client.get("/docs").headers.get_list("content-security-policy") == ["default-src 'self'"]


def test_application_refusals_and_etags_pass_unchanged(wide: Balanced) -> None:
    with wide.client(headers={"Accept-Encoding": "gzip"}) as client:
        answer = client.get("/refused")
    assert answer.status_code == 409
    assert answer.json()["path"] == "/refused"
    assert answer.headers["etag"] == '"7"'


@pytest.mark.parametrize(
    "path", ["/metrics", "/metrics/x", "/internal", "/internal/pool", "//metrics", "/./internal"]
)
def test_inner_addresses_do_not_exist_outside(wide: Balanced, path: str) -> None:
    context = ssl.create_default_context(cafile=str(wide.nginx.authority))
    connection = http.client.HTTPSConnection("localhost", wide.nginx.https_port, context=context)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status == 404
    assert json.loads(answer.read())["code"] == "not-found"
    connection.close()
    assert not [seen for seen in wide.arrived() if "metrics" in seen or "internal" in seen]


def test_http_2_is_spoken(wide: Balanced) -> None:
    assert negotiated(wide, ssl.TLSVersion.TLSv1_2, alpn="h2") == ("TLSv1.2", "h2")
    assert negotiated(wide, ssl.TLSVersion.TLSv1_3, alpn="h2") == ("TLSv1.3", "h2")


def test_old_tls_is_refused(wide: Balanced) -> None:
    with pytest.warns(DeprecationWarning, match="TLSv1_1"), pytest.raises((ssl.SSLError, ConnectionError)):
        negotiated(wide, ssl.TLSVersion.TLSv1_1, alpn="h2")


def negotiated(site: Balanced, version: ssl.TLSVersion, alpn: str) -> tuple[str | None, str | None]:
    trust = ssl.create_default_context(cafile=str(site.nginx.authority))
    trust.set_ciphers("DEFAULT@SECLEVEL=0")
    trust.minimum_version = trust.maximum_version = version
    trust.set_alpn_protocols([alpn])
    with (
        socket.create_connection(("127.0.0.1", site.nginx.https_port)) as raw,
        trust.wrap_socket(raw, server_hostname="localhost") as secure,
    ):
        return secure.version(), secure.selected_alpn_protocol()


def test_plain_http_is_sent_to_https(wide: Balanced) -> None:
    answer = httpx.get(f"http://localhost:{wide.nginx.http_port}/v1/parties?limit=5", trust_env=False)
    assert answer.status_code == 308
    assert answer.headers["location"] == f"https://localhost:{wide.nginx.https_port}/v1/parties?limit=5"


def test_plain_http_on_the_tls_port_is_explained(wide: Balanced) -> None:
    answer = httpx.get(f"http://localhost:{wide.nginx.https_port}/", trust_env=False)
    assert answer.status_code == 400
    assert problem(answer)["code"] == "tls-required"


def test_body_over_one_mebibyte_is_refused_except_for_bulk(wide: Balanced) -> None:
    body = b"x" * (1024 * 1024 + 1)
    with wide.client() as client:
        refused = client.post("/v1/sales-orders", content=body)
        taken = client.post("/v1/bulk/sales-orders", content=body)
    assert refused.status_code == 413
    assert problem(refused)["code"] == "payload-too-large"
    assert taken.json()["body"] == len(body)


def test_bulk_body_reaches_the_application_while_it_is_still_being_sent(wide: Balanced) -> None:
    """No buffering: the application sees the request before the client has finished it."""
    context = ssl.create_default_context(cafile=str(wide.nginx.authority))
    connection = http.client.HTTPSConnection("localhost", wide.nginx.https_port, context=context)
    connection.putrequest("POST", "/v1/bulk/slow")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    connection.send(b"5\r\nhello\r\n")
    while wide.arrivals.get(timeout=10) != "POST /v1/bulk/slow":
        pass
    connection.send(b"6\r\n again\r\n0\r\n\r\n")
    assert json.loads(connection.getresponse().read())["body"] == 11
    connection.close()


def test_too_many_requests_from_one_address_get_429(tight: Balanced) -> None:
    with tight.client() as client:
        answers = [client.get("/") for _ in range(60)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert {answer.status_code for answer in answers} == {200, 429}
    assert len(answers) - len(refused) >= 21  # the first, and the burst
    assert problem(refused[0])["code"] == "rate-limited"
    assert refused[0].headers["retry-after"] == "1"


def test_lost_instance_is_skipped_without_a_client_noticing() -> None:
    with balanced() as site, site.client() as client:
        site.instances[0].server.shutdown()
        site.instances[0].server.server_close()
        reads = [client.get("/") for _ in range(12)]
        writes = [client.post("/", content=b"{}") for _ in range(12)]
    assert {answer.status_code for answer in reads + writes} == {200}


def test_write_that_was_sent_is_never_sent_twice(wide: Balanced) -> None:
    before = wide.arrived().count("POST /hang/up")
    with wide.client() as client:
        answer = client.post("/hang/up", content=b"{}")
    assert answer.status_code == 502
    assert problem(answer)["code"] == "instance-lost"
    assert answer.headers["retry-after"] == "1"
    assert wide.arrived().count("POST /hang/up") == before + 1


def test_read_that_was_lost_is_tried_on_one_other_instance(wide: Balanced) -> None:
    before = wide.arrived().count("GET /hang/up")
    with wide.client() as client:
        assert client.get("/hang/up").status_code == 502
    tries = wide.arrived().count("GET /hang/up") - before
    assert tries in (2, 3)  # nginx does not count a first try on a connection kept from an earlier request


def test_no_instance_at_all_is_502_as_a_problem(tight: Balanced) -> None:
    for instance in tight.instances:
        instance.server.shutdown()
        instance.server.server_close()
    with tight.client() as client:
        answer = client.get("/")
    assert answer.status_code == 502
    assert problem(answer)["retryable"] is True


def test_instance_that_is_not_ready_gets_no_requests() -> None:
    with balanced() as site, site.client() as client:
        ready = site.nginx.api_ports[1:]
        site.nginx.balance(site.running, ready)
        for _ in range(500):
            answered = {client.get("/", headers={"Connection": "close"}).json()["instance"] for _ in range(10)}
            if answered == {"api-2", "api-3"}:
                break
        site.instances[0].paths.clear()
        for _ in range(30):
            client.get("/", headers={"Connection": "close"})
    assert site.instances[0].paths == []


def test_access_log_is_json_without_query_strings() -> None:
    with balanced() as site:
        with site.client() as client:
            client.get('/v1/parties?q=secret"', headers={"X-Request-Id": "logged-request-1"})
        site.running.stop()  # flushes the buffered log
        rows = [json.loads(line) for line in site.nginx.access_log.read_text().splitlines()]
    row = next(row for row in rows if row["correlation_id"] == "logged-request-1")
    assert row["path"] == "/v1/parties"
    assert row["status"] == 200
    assert "secret" not in json.dumps(rows)


def test_problems_of_the_balancer_are_those_of_the_catalogue() -> None:
    told = [
        json.loads(body) | {"answered": int(status)}
        for status, body in re.findall(r"return (\d+) '(\{.*\})'", (TEMPLATES / "problems.conf.template").read_text())
    ]
    assert len(told) >= 12
    for problem in told:
        declared = problem_classes()[problem["code"]]
        assert problem["type"] == f"/problems/{problem['code']}"
        assert (problem["title"], problem["status"], problem["answered"], problem["retryable"]) == (
            declared.title, declared.status, declared.status, declared.retryable
        )  # fmt: skip


def raw(site: Balanced, request: bytes) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Status, headers and problem of a request no client library would send."""
    trust = ssl.create_default_context(cafile=str(site.nginx.authority))
    with (
        socket.create_connection(("127.0.0.1", site.nginx.https_port)) as plain,
        trust.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        secure.settimeout(10)
        secure.sendall(request)
        answer = http.client.HTTPResponse(secure)
        answer.begin()
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return answer.status, headers, json.loads(answer.read())


@pytest.mark.parametrize(
    ("request_line", "headers", "status", "code"),
    [
        (b"TRACE / HTTP/1.1", b"Host: localhost", 405, "method-not-allowed"),
        (b"CONNECT / HTTP/1.1", b"Host: localhost", 405, "method-not-allowed"),
        (b"brew / HTTP/1.1", b"Host: localhost", 400, "bad-request"),
        (b"GET / HTTP/9.0", b"Host: localhost", 400, "bad-request"),
        (b"GET /%zz HTTP/1.1", b"Host: localhost", 400, "bad-request"),
        (b"GET /../.. HTTP/1.1", b"Host: localhost", 400, "bad-request"),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1", b"Host: localhost", 414, "address-too-long"),
        (b"GET / HTTP/1.1", b"X: y", 400, "bad-request"),
        (b"GET / HTTP/1.1", b"Host: a\r\nHost: b", 400, "bad-request"),
        (b"GET / HTTP/1.1", b"Host : localhost", 400, "bad-request"),
        (b"GET / HTTP/1.1", b"Host: a\r\nX: " + b"a" * 40_000, 431, "headers-too-large"),
        (b"POST / HTTP/1.1", b"Host: a\r\nTransfer-Encoding: xchunked", 400, "bad-request"),
        (b"POST / HTTP/1.1", b"Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked", 400, "bad-request"),
        (b"POST / HTTP/1.1", b"Host: a\r\nContent-Length: 1\r\nContent-Length: 2", 400, "bad-request"),
    ],
)
def test_what_is_no_http_is_refused_as_a_problem(
    wide: Balanced, request_line: bytes, headers: bytes, status: int, code: str
) -> None:
    before = len(wide.arrived())
    answered, told, found = raw(wide, request_line + b"\r\n" + headers + b"\r\n\r\n")
    assert (answered, told["content-type"], found["code"]) == (status, "application/problem+json", code)
    assert found["status"] == status
    assert found["correlation_id"] == told["x-correlation-id"]
    assert len(wide.arrived()) == before


def test_the_pages_of_problems_are_no_addresses(wide: Balanced) -> None:
    with wide.client() as client:
        answer = client.get("/.problems/bad-request")
    assert (answer.status_code, problem(answer)["code"]) == (404, "not-found")


def test_a_path_cannot_write_into_a_problem(wide: Balanced) -> None:
    context = ssl.create_default_context(cafile=str(wide.nginx.authority))
    connection = http.client.HTTPSConnection("localhost", wide.nginx.https_port, context=context)
    connection.putrequest("GET", '/metrics/a","status":200,"x":"?q', skip_accept_encoding=True)
    connection.endheaders()
    found = json.loads(connection.getresponse().read())
    assert (found["status"], found["instance"]) == (404, "/metrics/a")
    connection.close()


def test_every_placeholder_of_the_templates_is_documented() -> None:
    readme = (TEMPLATES / "README.md").read_text()
    names = {
        found
        for source in TEMPLATES.glob("*.template")
        for found in re.findall(r"\$\{([A-Z0-9_]+)\}", source.read_text())
    }
    assert {name for name in names if f"`{name}`" not in readme} == set()


def test_rendering_refuses_a_placeholder_without_a_value() -> None:
    with pytest.raises(Exception, match="NO_SUCH_NAME"):
        render("listen ${NO_SUCH_NAME};", {})
