"""Structured logs: one JSON object a line on standard output, with tenant, principal and trace in every one.

Both `structlog.get_logger()` and the standard library's loggers (uvicorn, Dramatiq, psycopg, our own) end
up in the same renderer. Set the scope with `fleet.scope`; every line of that task then carries it.
"""

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from fleet.log_line import render_line
from fleet.metrics import log_events_total
from fleet.scope import current_scope
from fleet.tracing import current_trace_id

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
#: Talkative libraries whose INFO lines repeat what our own metrics and access lines say.
_QUIET = ("httpx", "httpcore", "opentelemetry", "urllib3", "uvicorn.access", "alembic.runtime.migration")


def configure_logging(level: str, *, instance: str, role: str, stream: TextIO | None = None) -> None:
    """Send every log line of this process to `stream` (standard output) as JSON.

    `level`: debug, info, warning, error or critical in any case. May be called again. Raises ValueError.
    """
    number = _number(level)
    line = _Line(stream or sys.stdout, instance=instance, role=role)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, _exception, line],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=partial(_Sink, line),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_Bridge(line)]
    root.setLevel(number)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        server = logging.getLogger(name)
        # uvicorn writes an access line for every request where one would arrive; ours are metrics.
        server.handlers, server.propagate, server.disabled = [], name != "uvicorn.access", False
        server.setLevel(logging.NOTSET)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    logging.captureWarnings(True)


@contextlib.contextmanager
def logging_to_stderr() -> Iterator[None]:
    """For a tool at a terminal: warnings, in words, away from what it prints; until the block ends."""
    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.dev.ConsoleRenderer(colors=False)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)


def set_log_level(level: str) -> None:
    """Change the level of a running process. Raises ValueError."""
    number = _number(level)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(number))
    logging.getLogger().setLevel(number)


def get_logger(name: str = "") -> FilteringBoundLogger:
    """A structlog logger: `log.info("order confirmed", order_id=...)`."""
    logger: FilteringBoundLogger = structlog.get_logger(name)
    return logger


def _number(level: str) -> int:
    try:
        return _LEVELS[level.lower()]
    except KeyError:
        raise ValueError(f"{level!r} is no log level: use {', '.join(_LEVELS)}") from None


class _Line:
    """The last structlog processor: adds who and where, and renders. Writes whole lines."""

    def __init__(self, stream: TextIO, *, instance: str, role: str) -> None:
        self._stream = stream
        self._place = {"instance": instance, "role": role}
        self._seconds = -1
        self._prefix = ""

    def __call__(self, logger: WrappedLogger, method: str, fields: EventDict) -> str:
        level = str(fields.pop("level", method))
        event = fields.pop("event", "")
        if level in ("warning", "error", "critical"):
            log_events_total.at(level).inc()
        head = self._head(level, event, fields.pop("logger", "") or getattr(logger, "name", ""))
        return render_line({**head, **fields, **self._place, "timestamp": head["timestamp"]})

    def _head(self, level: str, event: Any, logger: str) -> dict[str, Any]:
        scope = current_scope()
        head = {"timestamp": self._now(), "level": level, "event": str(event)}
        if logger:
            head["logger"] = logger
        return head | self._place | {
            "tenant": scope.tenant,
            "principal": scope.principal,
            "correlation_id": scope.correlation_id,
            "trace_id": current_trace_id(),
        }  # fmt: skip

    def _now(self) -> str:
        seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        if seconds != self._seconds:
            self._prefix = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.")
            self._seconds = seconds
        return f"{self._prefix}{nanoseconds // 1000:06d}Z"

    def write(self, line: str) -> None:
        """One write, so that lines of several threads never mix; a closed stream is not our failure."""
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            return


class _Sink:
    """What structlog hands the rendered line to, by the name of the level's method."""

    def __init__(self, line: _Line, name: str = "") -> None:
        self.name = name
        self.msg = self.debug = self.info = self.warning = self.error = self.critical = line.write


class _Bridge(logging.Handler):
    """Standard-library records into the same line; `extra=` fields become fields."""

    _OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}

    def __init__(self, line: _Line) -> None:
        super().__init__()
        self._line = line

    def emit(self, record: logging.LogRecord) -> None:
        try:
            fields: dict[str, Any] = {k: v for k, v in vars(record).items() if k not in self._OWN}
            fields |= {"event": _message(record), "level": record.levelname.lower(), "logger": record.name}
            if record.exc_info:
                fields["exc_info"] = record.exc_info
            if record.stack_info:
                fields["stack"] = record.stack_info
            name = record.levelname.lower()
            self._line.write(self._line(None, name, dict(_exception(None, name, fields))))
        except Exception:  # a log line must never fail what it reports on
            self.handleError(record)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):  # arguments that do not fit the format
        return f"{record.msg} {record.args!r}"


_exception: Callable[[WrappedLogger, str, EventDict], Mapping[str, Any]] = structlog.processors.format_exc_info
