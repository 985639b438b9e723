"""Traces: parents and children across processes, tenant on every span, next to nothing while off."""

import asyncio
import http.server
import threading
import time
from collections.abc import Iterator

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from fleet import tracing
from fleet.scope import Scope, current_scope, enter_scope, leave_scope, scoped

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    running = tracing.configure_tracing(None, "erp-api", "api-1", exporter=exporter)
    yield exporter
    running.close()


def test_spans_nest_and_carry_the_tenant(spans: InMemorySpanExporter) -> None:
    with (
        scoped(tenant="t-1", principal="p-1", correlation_id="c-1"),
        tracing.span("request", kind="server", route="/v1/x"),
        tracing.span("command") as inner,
    ):
        inner.set(lines=3)
    command, request = spans.get_finished_spans()
    assert command.parent is not None
    assert request.context is not None
    assert command.parent.span_id == request.context.span_id
    assert request.kind is SpanKind.SERVER
    assert dict(command.attributes or {}) == {
        "erp.tenant": "t-1", "erp.principal": "p-1", "erp.correlation_id": "c-1", "lines": 3,
    }  # fmt: skip
    assert (request.attributes or {})["route"] == "/v1/x"
    assert request.resource.attributes["service.instance.id"] == "api-1"


def test_a_trace_goes_from_the_proxy_through_the_request_to_the_job(spans: InMemorySpanExporter) -> None:
    with tracing.span("request", kind="server", parent=tracing.extract({"traceparent": PARENT})):
        carried = tracing.inject()
        assert tracing.current_trace_id() == PARENT[3:35]
    with tracing.span("job", kind="consumer", parent=tracing.extract(carried)):
        pass
    request, job = spans.get_finished_spans()
    assert request.context is not None
    assert job.parent is not None
    assert job.context is not None
    assert format(job.context.trace_id, "032x") == PARENT[3:35]
    assert job.parent.span_id == request.context.span_id


def test_a_caller_that_does_not_record_is_followed(spans: InMemorySpanExporter) -> None:
    with tracing.span("request", parent=tracing.extract({"traceparent": PARENT[:-2] + "00"})):
        assert tracing.inject()["traceparent"].endswith("-00")
    assert spans.get_finished_spans() == ()


@pytest.mark.parametrize(
    "header",
    ["", "nonsense", PARENT + "\r\nx: y", PARENT.upper(), "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
     "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01", PARENT[:-1], "ff" + PARENT[2:]],
)  # fmt: skip
def test_an_invalid_trace_context_starts_a_new_trace(header: str, spans: InMemorySpanExporter) -> None:
    assert tracing.extract({"traceparent": header}) is None
    assert tracing.valid_traceparent(header) == ""


def test_an_error_marks_the_span_without_its_secret(spans: InMemorySpanExporter) -> None:
    with pytest.raises(ConnectionError), tracing.span("connect"):
        raise ConnectionError("redis://:hunter2@cache refused")
    [span] = spans.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert "ConnectionError" in (span.status.description or "")
    assert "hunter2" not in (span.status.description or "")


def test_a_flush_is_recorded_after_the_fact_without_parameters(spans: InMemorySpanExporter) -> None:
    with tracing.span("command"):
        tracing.record_flush(["SELECT 1", "COMMIT"], 1_000, 5_000, None)
        tracing.record_flush(["SELECT 2"], 5_000, 6_000, ValueError("secret"))
    good, bad, command = spans.get_finished_spans()
    assert command.context is not None
    assert good.parent is not None
    assert good.parent.span_id == command.context.span_id
    assert (good.start_time, good.end_time) == (1_000, 5_000)
    assert (good.attributes or {})["db.query.text"] == "SELECT 1;\nCOMMIT"
    assert bad.status.description == "ValueError"


async def test_tasks_of_one_request_share_its_trace(spans: InMemorySpanExporter) -> None:
    async def part() -> str:
        with tracing.span("part"):
            await asyncio.sleep(0)
            return tracing.current_trace_id()

    with tracing.span("request"):
        mine = tracing.current_trace_id()
        assert set(await asyncio.gather(part(), part())) == {mine}
    assert tracing.current_trace_id() == ""


def test_without_tracing_the_callers_context_is_handed_on() -> None:
    with scoped(traceparent=PARENT), tracing.span("request") as nothing:
        nothing.set(a=1)
        nothing.fail("no effect")
        assert tracing.inject() == {"traceparent": PARENT}
        assert tracing.current_trace_id() == PARENT[3:35]
    assert tracing.inject() == {}
    assert tracing.extract({"traceparent": PARENT}) is None
    assert not tracing.configure_tracing("", "erp-api", "api-1").enabled


def test_a_span_costs_next_to_nothing_while_tracing_is_off() -> None:
    def with_spans() -> None:
        for _ in range(10_000):
            with tracing.span("name", a=1):
                pass

    def fastest() -> float:
        started = time.process_time()
        with_spans()
        return time.process_time() - started

    assert min(fastest() for _ in range(5)) / 10_000 < 5e-6  # measured: about 0.3 microseconds


def test_scopes_nest_and_are_undone() -> None:
    with scoped(tenant="t-1", principal="p"), scoped(tenant="t-2"):
        assert current_scope() == Scope("t-2", "p")
    token = enter_scope(Scope(tenant="t-3"))
    assert current_scope().tenant == "t-3"
    leave_scope(token)
    assert current_scope() == Scope()


def test_spans_reach_a_collector_by_otlp() -> None:
    received: list[ExportTraceServiceRequest] = []

    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return

    with http.server.HTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running = tracing.configure_tracing(f"http://127.0.0.1:{server.server_port}", "erp-worker", "worker-1")
        assert running.enabled
        with tracing.span("job", queue="high"):
            pass
        running.close()
        server.shutdown()
    [span] = [s for request in received for r in request.resource_spans for g in r.scope_spans for s in g.spans]
    assert span.name == "job"


def test_a_collector_that_is_away_holds_nobody_up() -> None:
    running = tracing.configure_tracing("http://127.0.0.1:9", "erp-api", "api-1")
    with tracing.span("request"):
        pass
    started = time.monotonic()
    running.close()
    assert time.monotonic() - started < 10
