"""One event, one line: complete, bounded, escaped, redacted."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from fleet.instruments import REGISTRY
from fleet.log_line import MAX_LINE, render_line
from fleet.logging import configure_logging, get_logger, set_log_level
from fleet.scope import scoped


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """The stream of a configured process; the logging of the test run is put back afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    configure_logging("debug", instance="api-1", role="api", stream=stream)
    yield stream
    root.handlers, root.level = handlers, level
    logging.captureWarnings(False)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_every_line_says_who_where_and_when(written: io.StringIO) -> None:
    with scoped(
        tenant="t-1", principal="p-1", correlation_id="c-12345678",
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ):  # fmt: skip
        get_logger("erp.sales").info("order confirmed", order="SO-1", lines=3)
    [line] = lines(written)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "info", "event": "order confirmed", "logger": "erp.sales", "instance": "api-1", "role": "api",
        "tenant": "t-1", "principal": "p-1", "correlation_id": "c-12345678",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "order": "SO-1", "lines": 3,
    }  # fmt: skip


def test_the_standard_library_ends_in_the_same_line(written: io.StringIO) -> None:
    with scoped(tenant="t-2"):
        logging.getLogger("uvicorn.error").warning("bad %s", "request", extra={"peer": "10.0.0.9"})
    [line] = lines(written)
    assert (line["event"], line["level"], line["logger"]) == ("bad request", "warning", "uvicorn.error")
    assert (line["tenant"], line["peer"]) == ("t-2", "10.0.0.9")


def test_uvicorn_is_told_to_compose_no_access_lines(written: io.StringIO) -> None:
    """It composes them for every request where a handler could be reached from its logger."""
    assert not logging.getLogger("uvicorn.access").propagate
    assert logging.getLogger("uvicorn.error").propagate


def test_a_log_call_cannot_change_who_writes_it(written: io.StringIO) -> None:
    get_logger().info("x", instance="api-9", role="admin", timestamp="never", tenant="t-3")
    [line] = lines(written)
    assert (line["instance"], line["role"], line["tenant"]) == ("api-1", "api", "t-3")
    assert line["timestamp"] != "never"


def test_line_breaks_and_terminal_codes_are_escaped(written: io.StringIO) -> None:
    get_logger().info('evil\r\n{"level":"info"}\x1b[2J\x9b31m\u202e\u2028', **{"na\nme": "\x07"})
    text = written.getvalue()
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert all(32 <= ord(character) < 127 for character in text[:-1])


def test_an_exception_is_one_line_with_its_traceback_and_no_secret(written: io.StringIO) -> None:
    try:
        raise ConnectionError("cannot reach postgresql://erp_app:hunter2@db/erp")
    except ConnectionError:
        logging.getLogger("db").exception("start failed")
        get_logger().exception("start failed")
    assert len(lines(written)) == 2
    for line in lines(written):
        assert "ConnectionError" in line["exception"]
        assert "test_logging.py" in line["exception"]
    assert "hunter2" not in written.getvalue()


def test_secret_fields_are_redacted(written: io.StringIO) -> None:
    get_logger().info("called", headers={"Authorization": "Bearer abcdefgh"}, api_key="k", address="10.1.2.3")
    assert "abcdefgh" not in written.getvalue()
    [line] = lines(written)
    assert (line["api_key"], line["address"]) == ("[redacted]", "10.1.2.3")


def test_levels_below_the_chosen_one_are_silent_and_can_be_changed(written: io.StringIO) -> None:
    set_log_level("warning")
    get_logger().info("unheard")
    logging.getLogger("a").info("unheard")
    set_log_level("INFO")
    get_logger().info("heard")
    assert [line["event"] for line in lines(written)] == ["heard"]


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="use debug, info"):
        configure_logging("loud", instance="i", role="r")


def test_a_wrong_format_string_still_gives_a_line(written: io.StringIO) -> None:
    root = logging.getLogger()
    root.handlers = root.handlers[:1]  # ours; the test runner's own, added later, insists on right formats
    logging.getLogger("a").warning("%d pieces", "many")
    assert "many" in lines(written)[0]["event"]


def test_a_closed_stream_does_not_fail_the_caller(written: io.StringIO) -> None:
    written.close()
    get_logger().info("to nobody")


def test_warnings_and_errors_are_counted(written: io.StringIO) -> None:
    before = REGISTRY.get_sample_value("log_events_total", {"level": "error"}) or 0
    get_logger().error("one")
    logging.getLogger("a").error("two")
    assert REGISTRY.get_sample_value("log_events_total", {"level": "error"}) == before + 2


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3000) | st.binary(max_size=50),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=80), inner, max_size=5),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=100), VALUES, max_size=30))
def test_any_fields_make_one_bounded_json_line(fields: dict[str, Any]) -> None:
    line = render_line({"timestamp": "now", "level": "info", "event": "e", **fields})
    assert len(line) <= MAX_LINE
    assert "\n" not in line
    json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


@pytest.mark.parametrize(
    "fields",
    [
        {"event": "x" * 1_000_000},
        {"event": "\U0001f600" * 100_000},
        {f"field{number}": "y" * 500 for number in range(500)},
        {"k" * 5000: "v" * 9000},
        {"data": [{"a": "z" * 1000}] * 1000},
        dict.fromkeys(("event", "tenant", "principal", "correlation_id", "trace_id"), "\u202e" * 9000),
    ],
    ids=["long", "wide", "many", "name", "nested", "core"],
)
def test_huge_events_are_cut_to_eight_kibibytes(fields: dict[str, Any]) -> None:
    line = render_line({"timestamp": "2026-01-01T00:00:00Z", "level": "error", "event": "e", **fields})
    assert len(line) + 1 <= 8192
    found = json.loads(line)
    assert found["truncated"] is True
    assert found["level"] == "error"


def test_the_end_of_a_long_traceback_is_kept() -> None:
    line = json.loads(render_line({"event": "e", "exception": "a" * 20_000 + "ValueError: the reason"}))
    assert line["exception"].endswith("ValueError: the reason")


def test_a_secret_cut_in_two_by_the_limit_is_not_shown() -> None:
    text = "x" * 5000 + " postgresql://erp_app:hunter2hunter2@db/erp " + "y" * 5000
    assert "hunter2" not in render_line({"event": text})
