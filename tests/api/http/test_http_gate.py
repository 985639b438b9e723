"""The gate: who gets in, how often, how many at once, and what every answer carries."""

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from db.errors import DomainError
from erp.http.entry import Limits
from erp.http.gate import Gate, is_public
from erp.http.ranks import Rank
from fleet.metrics import render
from fleet.tracing import configure_tracing
from tests.api.http.conftest import ROOMY, Rig, Tenant, client_of
from tests.api.http.raw import call
from tests.services import Services

PROTECTED = [
    "/v1/notes", "/v1/batch", "/health", "/v1/nothing", "/v1", "/metrics", "/internal", "/docsx", "/problemsx",
]  # fmt: skip


@contextlib.asynccontextmanager
async def client(
    rig: Rig, token: str | None, address: str = "192.0.2.1", **bounds: Any
) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(rig.build(**bounds), token, address) as found:
        yield found


# -- who gets in -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PROTECTED)
async def test_without_a_credential_every_path_looks_the_same(stranger: httpx.AsyncClient, path: str) -> None:
    answer = await stranger.get(path)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", ["Basic abc", "Bearer", "Bearer ", "erp_x", "Bearer é", "Bearer a b", "Token x"])
async def test_a_malformed_credential_is_none(stranger: httpx.AsyncClient, header: str) -> None:
    answer = await stranger.get("/v1/notes", headers={b"authorization": header.encode()})
    assert (answer.status_code, answer.json()["code"]) in ((401, "unauthorized"), (429, "rate-limited"))


async def test_a_wrong_secret_is_refused_like_an_unknown_key(rig: Rig, tenant: Tenant) -> None:
    wrong = tenant.owner[:-4] + "0000"
    unknown = re.sub(r"_[0-9a-f]{16}_", "_0123456789abcdef_", tenant.owner)
    answers = [await call(rig.gate, "GET", "/v1/notes", token=token, peer="192.0.2.77") for token in (wrong, unknown)]
    assert [answer.status for answer in answers] == [401, 401]
    assert answers[0].json["detail"] == answers[1].json["detail"]


async def test_guessing_ends_after_five_attempts_but_not_for_who_is_known(rig: Rig, tenant: Tenant) -> None:
    address = "198.51.100.23"
    assert (await call(rig.gate, "GET", "/v1/notes", token=tenant.owner, peer=address)).status == 200
    guesses = [tenant.owner[:-4] + f"{n:04x}" for n in range(12)]
    answers = [await call(rig.gate, "GET", "/v1/notes", token=guess, peer=address) for guess in guesses]
    codes = [answer.code for answer in answers]
    assert codes[0] == "unauthorized"
    assert codes[-1] == "rate-limited"
    assert codes.count("unauthorized") <= 5
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert (await call(rig.gate, "GET", "/v1/notes", token=tenant.owner, peer=address)).status == 200


async def test_a_revoked_key_is_out_with_the_next_request(rig: Rig, tenant: Tenant, services: Services) -> None:
    async with client_of(rig.gate, tenant.owner) as api:
        assert (await api.get("/v1/notes")).status_code == 200
        with psycopg.connect(services.superuser_url, autocommit=True) as connection:
            connection.execute("UPDATE api_keys SET state = 'revoked' WHERE tenant_id = %s", (tenant.id,))
        assert await rig.services.gatekeeper.bump_credentials(tenant.id)
        assert (await api.get("/v1/notes")).status_code == 401


async def test_a_suspended_tenant_is_told_so(rig: Rig, tenant: Tenant, services: Services) -> None:
    with psycopg.connect(services.superuser_url, autocommit=True) as connection:
        connection.execute("UPDATE tenants SET state = 'suspended' WHERE tenant_id = %s", (tenant.id,))
    answer = await call(rig.gate, "GET", "/v1/notes", token=tenant.owner)
    assert (answer.status, answer.code) == (403, "tenant-suspended")


def test_public_paths_are_whole_words() -> None:
    assert [path for path in PROTECTED if is_public(path)] == []
    for path in (
        "/",
        "/problems",
        "/problems/not-found",
        "/schema/openapi.json",
        "/docs",
        "/health/live",
        "/health/ready",
    ):
        assert is_public(path)


async def test_a_route_that_needs_a_caller_has_none_even_on_a_public_path(rig: Rig) -> None:
    """Tricks with the path may make a path look public; the route asks for its caller all the same."""
    for path in ("/docs/../v1/notes", "/problems/..%2fv1%2fnotes", "/docs//v1/notes", "/schema/../../v1/notes"):
        answer = await call(rig.gate, "GET", path)
        assert answer.status in (401, 404)


# -- paths and methods -----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PUT", "DELETE", "PATCH", "HEAD", "CONNECT", "BREW", "get"])
async def test_other_methods_are_not_allowed(rig: Rig, tenant: Tenant, method: str) -> None:
    answer = await call(
        rig.gate, method, "/v1/notes", token=tenant.owner, headers=[(b"x-http-method-override", b"POST")]
    )
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, POST"
    if method != "HEAD":
        assert answer.code == "method-not-allowed"


async def test_a_method_override_changes_nothing(api: httpx.AsyncClient) -> None:
    for header in ("x-http-method-override", "x-method-override", "x-http-method"):
        answer = await api.get("/v1/notes", headers={header: "POST"})
        assert answer.status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/v1/notes\x00", "/v1/notes/\x00", "/v1/notes/a\u202eb", "/v1/nothing", "/v1/notes/not-a-uuid", "/v1/notes;x",
        "/v1/notes/..", "/V1/notes", "/v1/notes/00000000-0000-0000-0000-000000000000/extra", "/v1/n%6ftes/x",
        "/health/ready/../live", "/v1/../v1/notes", "/v1/notes/%2e%2e",
    ],
)  # fmt: skip
async def test_a_path_is_its_route_or_nothing(rig: Rig, tenant: Tenant, path: str) -> None:
    answer = await call(rig.gate, "GET", path, token=tenant.owner)
    assert (answer.status, answer.code) == (404, "not-found")


async def test_doubled_slashes_mean_the_same_route_with_the_same_fence(rig: Rig, tenant: Tenant) -> None:
    assert (await call(rig.gate, "GET", "//v1//notes")).status == 401
    assert (await call(rig.gate, "GET", "//v1//notes", token=tenant.owner)).status == 200


# -- how often -------------------------------------------------------------------------------------


async def test_a_key_over_its_limit_is_told_which_limit_and_when_to_return(rig: Rig, tenant: Tenant) -> None:
    async with client(rig, tenant.owner, limits=Limits(key=3, tenant=100, address=100_000)) as api:
        answers = [await api.get("/v1/notes") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["2", "1", "0", "0", "0"]
    refused = answers[-1]
    assert refused.json()["code"] == "rate-limited"
    assert (refused.json()["limit_name"], refused.json()["limit"]) == ("key", 3)
    assert refused.headers["x-ratelimit-limit"] == "3"
    assert 1 <= int(refused.headers["retry-after"]) <= 120
    assert 0 <= int(refused.headers["x-ratelimit-reset"]) <= 120  # a full window ages for as long again


async def test_two_keys_share_their_tenants_limit(rig: Rig, tenant: Tenant) -> None:
    gate = rig.build(limits=Limits(key=100, tenant=4, address=100_000))
    for token in (tenant.owner, tenant.reader, tenant.owner, tenant.reader):
        assert (await call(gate, "GET", "/v1/notes", token=token)).status == 200
    refused = await call(gate, "GET", "/v1/notes", token=tenant.reader)
    assert (refused.status, refused.json["limit_name"]) == (429, "tenant")


async def test_an_address_cannot_be_changed_by_saying_so(rig: Rig) -> None:
    """Rotating X-Forwarded-For gains nothing, because this peer is not a trusted proxy."""
    gate, statuses = rig.build(limits=Limits(stranger=5)), []
    for number in range(8):
        forwarded = [(b"x-forwarded-for", b"10.0.0.%d" % number)]
        statuses.append((await call(gate, "GET", "/problems", peer="203.0.113.50", headers=forwarded)).status)
    assert statuses == [200] * 5 + [429] * 3


async def test_a_trusted_proxy_speaks_for_its_clients(rig: Rig) -> None:
    gate = rig.build(limits=Limits(stranger=2))
    for client_address in (b"203.0.113.61", b"203.0.113.62"):
        statuses = []
        for number in range(3):
            forwarded = b"6.6.6.%d, %s" % (number, client_address)
            answer = await call(gate, "GET", "/problems", peer="10.9.9.9", headers=[(b"x-forwarded-for", forwarded)])
            statuses.append(answer.status)
        assert statuses == [200, 200, 429]


async def test_probes_are_never_limited(rig: Rig) -> None:
    gate = rig.build(limits=Limits(stranger=1), concurrency=1, queue=0)
    for _ in range(5):
        assert (await call(gate, "GET", "/health/live")).status == 200
        assert (await call(gate, "GET", "/health/ready")).status == 200


# -- how many at once ------------------------------------------------------------------------------


async def test_an_instance_that_is_full_says_so_at_once_and_recovers(rig: Rig, tenant: Tenant) -> None:
    gate = rig.build(concurrency=1, queue=0)
    await gate.turns.enter(Rank.WRITE)
    refused = await call(gate, "GET", "/v1/notes", token=tenant.owner)
    assert (refused.status, refused.code, refused.headers["retry-after"]) == (503, "overloaded", "1")
    assert (await call(gate, "GET", "/health/ready")).status == 200
    gate.turns.leave(Rank.WRITE)
    assert (await call(gate, "GET", "/v1/notes", token=tenant.owner)).status == 200


async def test_whatever_happens_in_a_request_its_place_is_freed(rig: Rig, tenant: Tenant) -> None:
    gate = rig.build(concurrency=1, queue=0)
    for path in ("/v1/notes", "/v1/nothing", f"/v1/notes/{uuid4()}/break"):
        for token in (tenant.owner, None, "erp_nonsense"):
            await call(gate, "POST", path, token=token)
    stuck = asyncio.create_task(call(gate, "POST", "/v1/notes", token=tenant.owner, chunks=[b"{"], leaves=True))
    await stuck
    assert (await call(gate, "GET", "/v1/notes", token=tenant.owner)).status == 200


# -- what every answer carries ---------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/notes", "/v1/nothing", "/problems", "/health/live"])
async def test_every_answer_has_the_security_headers(rig: Rig, tenant: Tenant, path: str) -> None:
    for token in (tenant.owner, None):
        answer = await call(rig.gate, "GET", path, token=token)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "private, no-store"
        assert answer.headers["vary"] == "Authorization"
        assert re.fullmatch(r"[A-Za-z0-9-]{8,64}", answer.headers["x-correlation-id"])


async def test_a_harmless_correlation_id_goes_through_and_any_other_is_replaced(
    api: httpx.AsyncClient, tenant: Tenant, services: Services
) -> None:
    kept = "client-id-4711"
    answer = await api.post(
        "/v1/notes", json={"name": "A", "amount": "1"},
        headers={"x-correlation-id": kept, "idempotency-key": str(uuid4())},
    )  # fmt: skip
    assert answer.headers["x-correlation-id"] == kept
    with psycopg.connect(services.superuser_url) as connection:
        found = connection.execute("SELECT correlation_id FROM events WHERE tenant_id = %s", (tenant.id,)).fetchone()
    assert found == (kept,)
    for hostile in ("short", "x" * 65, "a\tb-12345678", "\x1b[31mred-12345", "drop;table-12345"):
        answer = await api.get("/v1/nothing", headers={"x-correlation-id": hostile})
        assert answer.headers["x-correlation-id"] != hostile
        assert answer.json()["correlation_id"] == answer.headers["x-correlation-id"]


@pytest.mark.parametrize(
    "name", [b"authorization", b"idempotency-key", b"content-type", b"content-length", b"if-match"]
)
async def test_headers_two_readers_could_disagree_on_are_refused(rig: Rig, tenant: Tenant, name: bytes) -> None:
    answer = await call(rig.gate, "GET", "/v1/notes", headers=[(name, b"1"), (name, b"2")])
    assert (answer.status, answer.code) == (400, "bad-request")


async def test_a_defect_tells_the_client_nothing_and_the_log_everything(
    api: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "erp.http"):
        answer = await api.post(f"/v1/notes/{uuid4()}/break")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal-error")
    assert "10.0.0.7" not in answer.text
    assert "secret" not in answer.text
    assert "ZeroDivision" not in answer.text
    [record] = [record for record in caplog.records if record.name == "erp.http"]
    assert record.exc_info is not None
    assert record.__dict__["correlation_id"] == answer.json()["correlation_id"]


async def test_websockets_are_closed(rig: Rig) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await rig.gate({"type": "websocket", "path": "/v1/notes", "headers": []}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


async def test_half_an_answer_breaks_the_connection_instead_of_looking_whole(rig: Rig) -> None:
    class LateError(DomainError):
        """Comes too late."""

        code = "test-late"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise LateError

    with pytest.raises(LateError):
        await call(Gate(app, rig.services, rig.policy(limits=ROOMY)), "GET", "/problems")


# -- reading one's own writes ----------------------------------------------------------------------


async def test_a_write_is_seen_by_the_next_read_without_doing_anything(api: httpx.AsyncClient) -> None:
    for number in range(15):
        made = await api.post(
            "/v1/notes", json={"name": f"N{number}", "amount": "1"}, headers={"idempotency-key": str(uuid4())}
        )
        assert (await api.get(made.headers["location"])).status_code == 200


async def test_another_caller_sees_it_with_the_token(rig: Rig, api: httpx.AsyncClient, tenant: Tenant) -> None:
    async with client_of(rig.gate, tenant.reader) as reader:
        for number in range(15):
            made = await api.post(
                "/v1/notes", json={"name": f"N{number}", "amount": "1"}, headers={"idempotency-key": str(uuid4())}
            )
            token = made.headers["consistency-token"]
            seen = await reader.get(made.headers["location"], headers={"consistency-token": token})
            assert seen.status_code == 200
            assert seen.headers["consistency-token"]


@pytest.mark.parametrize("token", ["", "x", "A" * 27, "é", "../x", "A" * 500])
async def test_an_invented_token_is_refused(api: httpx.AsyncClient, token: str) -> None:
    answer = await api.get("/v1/notes", headers={b"consistency-token": token.encode()})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-consistency-token")


# -- what others learn of a request ----------------------------------------------------------------


async def test_requests_are_counted_by_their_route_never_by_what_the_client_wrote(
    api: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    for path in (f"/v1/notes/{uuid4()}", f"/v1/notes/{uuid4()}", "/v1/secret-of-a-client", "/v1/notes"):
        await api.get(path)
    await stranger.get("/v1/another-secret")
    exposed = render().decode()
    routes = set(re.findall(r'http_requests_total\{[^}]*route="([^"]*)"', exposed))
    assert {"/v1/notes/{note_id}", "/v1/notes", "unmatched"} <= routes
    assert "secret" not in exposed
    assert re.search(r'http_problems_total\{code="not-found"\}', exposed)


async def test_a_request_is_one_span_below_its_callers(api: httpx.AsyncClient, tenant: Tenant) -> None:
    exporter = InMemorySpanExporter()
    tracing = configure_tracing(None, "erp-api", "test-1", exporter=exporter)
    try:
        traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        await api.get("/v1/notes", headers={"traceparent": traceparent, "x-correlation-id": "client-id-4711"})
    finally:
        tracing.close()
    [found] = [span for span in exporter.get_finished_spans() if span.kind is SpanKind.SERVER]
    assert found.context is not None
    assert format(found.context.trace_id, "032x") == "4bf92f3577b34da6a3ce929d0e0e4736"
    attributes = dict(found.attributes or {})
    assert attributes["http.route"] == "/v1/notes"
    assert attributes["http.response.status_code"] == 200
    assert (attributes["erp.tenant"], attributes["erp.correlation_id"]) == (str(tenant.id), "client-id-4711")
