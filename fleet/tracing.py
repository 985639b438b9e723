"""Traces from request through SQL to job, in W3C trace context; close to free while nothing is recorded.

`span("relay.publish", batch=20)` around a block is all most code needs. Without `configure_tracing` it is
one comparison and a shared object that does nothing, and an incoming `traceparent` is only handed on.
"""

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import Token
from types import TracebackType
from typing import Literal, Protocol

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from fleet.redaction import redact_text
from fleet.scope import current_scope

Value = str | bool | int | float | Sequence[str]
Kind = Literal["internal", "server", "client", "producer", "consumer"]

#: https://www.w3.org/TR/trace-context/#traceparent-header, version 00; all-zero ids are invalid.
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_KINDS = {kind.name.lower(): kind for kind in SpanKind}
_PROPAGATOR = TraceContextTextMapPropagator()
_tracer: Tracer | None = None


class ActiveSpan(Protocol):
    """What a `with span(...)` block gets."""

    def set(self, **attributes: Value) -> None: ...
    def fail(self, reason: str) -> None: ...


class _Nothing:
    """A span while tracing is off: one object, shared by all."""

    __slots__ = ()

    def __enter__(self) -> "_Nothing":
        return self

    def __exit__(self, *_: object) -> None:
        return

    def set(self, **attributes: Value) -> None:
        return

    def fail(self, reason: str) -> None:
        return


class _Recorded:
    """A span that becomes the current one for the length of a block."""

    __slots__ = ("_attributes", "_kind", "_name", "_parent", "_span", "_token", "_tracer")

    _span: Span
    _token: Token[Context]

    def __init__(
        self, tracer: Tracer, name: str, kind: Kind, parent: Context | None, attributes: Mapping[str, Value]
    ) -> None:
        self._tracer = tracer
        self._name = name
        self._kind = kind
        self._parent = parent
        self._attributes = attributes

    def __enter__(self) -> "_Recorded":
        self._span = self._tracer.start_span(self._name, self._parent, _KINDS[self._kind], self._attributes)
        self._token = otel_context.attach(set_span_in_context(self._span, self._parent))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self._span.is_recording():
            self.fail(f"{type(error).__name__}: {error}")
        otel_context.detach(self._token)
        self._span.end()

    def set(self, **attributes: Value) -> None:
        """Add attributes; those of the same name are replaced."""
        self._span.set_attributes(attributes)

    def fail(self, reason: str) -> None:
        """Mark the span as failed; the reason is redacted and cut."""
        self._span.set_status(Status(StatusCode.ERROR, redact_text(reason[:500])))


_NOTHING = _Nothing()


def span(
    name: str, *, kind: Kind = "internal", parent: Context | None = None, **attributes: Value
) -> AbstractContextManager[ActiveSpan]:
    """A span around a block, below the current one or below `parent` (from `extract`)."""
    if _tracer is None:
        return _NOTHING
    return _Recorded(_tracer, name, kind, parent, attributes)


def extract(headers: Mapping[str, str]) -> Context | None:
    """The caller's trace context; None when there is no valid one or nothing is recorded here.

    Header names in lower case.
    """
    if _tracer is None or valid_traceparent(headers.get("traceparent", "")) == "":
        return None
    return _PROPAGATOR.extract(headers, Context())


def inject() -> dict[str, str]:
    """`{"traceparent": ...}` of the current span for a job or a request of ours, {} when there is none."""
    headers: dict[str, str] = {}
    if _tracer is not None:
        _PROPAGATOR.inject(headers)
    if not headers and (inherited := current_scope().traceparent):
        headers["traceparent"] = inherited
    return headers


def valid_traceparent(text: str) -> str:
    """The header as it came, or '' when it is not one: for `Scope.traceparent`."""
    return text if _TRACEPARENT.fullmatch(text) else ""


def current_trace_id() -> str:
    """32 hexadecimal digits of the current span, of the inherited trace context, or ''."""
    if _tracer is not None and (found := get_current_span().get_span_context()).is_valid:
        return format(found.trace_id, "032x")
    return current_scope().trace_id


def record_flush(statements: Sequence[str], started: int, ended: int, error: BaseException | None) -> None:
    """A span for one round trip to PostgreSQL, after the fact. Times in nanoseconds since the epoch.

    Only statement texts are recorded, never parameters.
    """
    if _tracer is None:
        return
    done = _tracer.start_span(
        "postgresql.flush",
        kind=SpanKind.CLIENT,
        start_time=started,
        attributes={
            "db.system.name": "postgresql",
            "db.operation.batch.size": len(statements),
            "db.query.text": ";\n".join(statements)[:4000],
        },
    )
    if error is not None:
        done.set_status(Status(StatusCode.ERROR, type(error).__name__))
    done.end(ended)


class _Scoped(SpanProcessor):
    """Puts tenant, principal and correlation id on every span, whoever starts it."""

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
        scope = current_scope()
        span.set_attribute("erp.tenant", scope.tenant)
        span.set_attribute("erp.principal", scope.principal)
        span.set_attribute("erp.correlation_id", scope.correlation_id)

    def on_end(self, span: ReadableSpan) -> None:
        return

    def shutdown(self) -> None:
        return

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


class Tracing:
    """The running tracer of this process."""

    def __init__(self, provider: TracerProvider | None) -> None:
        self._provider = provider

    @property
    def enabled(self) -> bool:
        return self._provider is not None

    def close(self) -> None:
        """Hand the last spans over (at most a few seconds) and record nothing more."""
        global _tracer
        _tracer = None
        if self._provider is not None:
            self._provider.shutdown()


def configure_tracing(
    endpoint: str | None,
    service: str,
    instance: str,
    *,
    version: str = "",
    ratio: float = 1.0,
    exporter: SpanExporter | None = None,
) -> Tracing:
    """Record spans and send them by OTLP/HTTP to `endpoint` (`http://collector:4318`); '' or None: none.

    `ratio` of the traces that begin here are recorded; one begun elsewhere is recorded when its caller
    records it. `exporter` replaces the OTLP one and gets each span at once: for tests. Call it after the
    process has forked for the last time, and `close()` the result at the end.
    """
    global _tracer
    if exporter is None and not endpoint:
        _tracer = None
        return Tracing(None)
    resource = Resource.create({"service.name": service, "service.instance.id": instance, "service.version": version})
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(ratio)), resource=resource, shutdown_on_exit=False
    )
    provider.add_span_processor(_Scoped())
    if exporter is None:
        provider.add_span_processor(BatchSpanProcessor(_otlp(endpoint or "")))
    else:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    _tracer = provider.get_tracer("erp", version)
    return Tracing(provider)


def _otlp(endpoint: str) -> OTLPSpanExporter:
    path = "" if endpoint.rstrip("/").endswith("/v1/traces") else "/v1/traces"
    # A collector that is away must not hold a shutdown up.
    timeout = float(os.environ.get("OTEL_EXPORTER_OTLP_TIMEOUT", "3"))
    return OTLPSpanExporter(endpoint=endpoint.rstrip("/") + path, timeout=timeout)
