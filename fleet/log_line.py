"""One event as one line of JSON: at most 8 KiB, nothing in it that a terminal or a log parser would obey."""

import json
from collections.abc import Mapping
from typing import Any

from fleet.redaction import redact, redact_field

MAX_LINE = 8191  # and its line feed
#: Text is looked at up to here; a secret cut in two at this place is cut off by the limits below.
_MAX_INPUT = 65_536
#: Characters kept of one text, fields of one line, tried in order until the line fits.
_LIMITS = ((4096, 64), (1024, 32), (256, 16), (64, 16))
#: Always there, and always first; the last of the limits keeps these alone.
CORE = (
    "timestamp", "level", "event", "logger", "instance", "role", "tenant", "principal", "correlation_id",
    "trace_id",
)  # fmt: skip
#: A traceback says most at its end.
_KEPT_FROM_END = frozenset({"exception", "stack"})


def render_line(fields: Mapping[str, Any]) -> str:
    """The line, without its line feed. Field order is kept; everything outside ASCII is escaped.

    JSON escapes carriage returns, line feeds and ESC; escaping what lies beyond ASCII too takes C1
    controls, bidirectional overrides and line separators along. Names and texts are redacted.
    """
    clean = {_cut(name, 64): redact_field(name, _bounded(value)) for name, value in fields.items()}
    line = _encode(clean)
    if len(line) <= MAX_LINE:
        return line
    for text_limit, field_limit in _LIMITS:
        line = _encode(_shrink(clean, text_limit, field_limit))
        if len(line) <= MAX_LINE:
            return line
    return _encode(_shrink({name: clean[name] for name in CORE if name in clean}, 48, len(CORE)))


def _encode(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, ensure_ascii=True, separators=(",", ":"), default=str)


def _bounded(value: Any, depth: int = 6) -> Any:
    """The value without the part of a huge text or collection that would be cut off later anyway."""
    if isinstance(value, str):
        return value if len(value) <= _MAX_INPUT else value[:_MAX_INPUT]
    if isinstance(value, Mapping) and depth:
        return {str(key): _bounded(value[key], depth - 1) for key in list(value)[:256]}
    if isinstance(value, list | tuple) and depth:
        return [_bounded(item, depth - 1) for item in value[:256]]
    if isinstance(value, float) and value - value != 0:
        return str(value)  # NaN and Infinity are no JSON
    if value is None or isinstance(value, bool | int | float | bytes | bytearray | memoryview | set | frozenset):
        return value
    return _bounded(str(value), depth)


def _shrink(fields: Mapping[str, Any], text_limit: int, field_limit: int) -> dict[str, Any]:
    ordered = [name for name in CORE if name in fields] + [name for name in fields if name not in CORE]
    kept = {name: _shorten(name, fields[name], text_limit) for name in ordered[:field_limit]}
    return kept | {"truncated": True}


def _shorten(name: str, value: Any, limit: int) -> Any:
    if not isinstance(value, str):
        if value is None or isinstance(value, bool | int | float):
            return value
        value = json.dumps(redact(value), default=str)
    if name in _KEPT_FROM_END and len(value) > limit:
        return f"[{len(value) - limit} characters]...{value[-limit:]}"
    return _cut(value, limit)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}...[{len(text) - limit} characters]"
