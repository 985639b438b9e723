"""Metrics: bounded labels, both formats, and the small server."""

import contextlib
import json
import select
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fleet import metrics, observing
from fleet.instruments import OTHER, REGISTRY, counter, label, names_of

NAMES_TO_KEEP = {
    "distributed_locks_acquired_total", "cache_invalidation_events_total", "distributed_transactions_total",
    "instance_coordination_messages_total", "leader_election_attempts_total", "http_requests_total",
    "http_request_duration_seconds_bucket", "http_requests_in_flight", "db_pool_size", "db_pool_waiting",
    "replica_lag_seconds", "replica_eligible", "rate_limited_total", "queue_depth",
    "erp_queue_latency_seconds", "jobs_total", "outbox_lag_seconds", "outbox_unpublished",
}  # fmt: skip


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.fixture
def server() -> Iterator[metrics.MetricsServer]:
    states = {"live": True, "ready": False}
    served = metrics.start_metrics_server(
        0, address="127.0.0.1", live=lambda: states["live"], ready=lambda: states["ready"]
    )
    yield served
    served.close()


def test_the_names_that_must_stay_are_there() -> None:
    assert not NAMES_TO_KEEP - set(names_of())


def test_every_name_of_a_scrape_is_listed() -> None:
    metrics.observe_request("/v1/x", "GET", 200, 0.01)
    scraped = {
        sample.name
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }
    assert scraped <= set(names_of())


def test_requests_are_counted_by_template_method_and_status() -> None:
    before = value("http_requests_total", route="/v1/orders/{id}", method="GET", status="404")
    metrics.observe_request("/v1/orders/{id}", "GET", 404, 0.2)
    assert value("http_requests_total", route="/v1/orders/{id}", method="GET", status="404") == before + 1
    assert value("http_request_duration_seconds_count", route="/v1/orders/{id}", method="GET") >= 1


def test_a_label_takes_only_as_many_values_as_it_may() -> None:
    family = counter("test_bounded_total", "t", label("who", limit=3), label("method", "GET"))
    for number in range(100):
        family.at(f"client-{number}", "GET").inc()
        family.at("client-0", f"method-{number}").inc()
    series = {
        tuple(s.labels.values()) for m in family.metric.collect() for s in m.samples if s.name.endswith("_total")
    }
    assert series == {
        ("client-0", "GET"), ("client-1", "GET"), ("client-2", "GET"), (OTHER, "GET"), ("client-0", OTHER),
    }  # fmt: skip
    assert len(family._children) == len(series)  # the look-up table is bounded as well


def test_a_forgotten_series_is_gone() -> None:
    metrics.replica_eligible.at("replica-gone").set(1)
    metrics.replica_eligible.forget("replica-gone")
    assert REGISTRY.get_sample_value("replica_eligible", {"replica": "replica-gone"}) is None
    metrics.replica_eligible.forget("never-seen")


def test_pools_are_read_when_scraped() -> None:
    stats = {"pool_size": 4, "pool_max": 10, "requests_waiting": 2, "requests_wait_ms": 1500}
    metrics.watch_pool("primary", lambda: stats)
    assert value("db_pool_waiting", pool="primary") == 2
    assert value("db_pool_wait_seconds_total", pool="primary") == 1.5
    stats["requests_waiting"] = 0
    assert value("db_pool_waiting", pool="primary") == 0
    metrics.unwatch_pool("primary")
    assert REGISTRY.get_sample_value("db_pool_waiting", {"pool": "primary"}) is None


def test_what_locks_report_becomes_metrics() -> None:
    """Other tests of this process take locks too: what counts is the difference."""
    counted = {
        ("distributed_locks_acquired_total", "mode", "redis"): 1,
        ("distributed_locks_acquired_total", "mode", "handed_over"): 1,
        ("distributed_locks_contended_total", "", ""): 2,
        ("distributed_locks_failed_total", "reason", "timeout"): 1,
        ("distributed_locks_failed_total", "reason", "lost"): 1,
        ("distributed_lock_wait_seconds_count", "", ""): 3,
        ("distributed_lock_held_seconds_sum", "", ""): 0.02,
    }

    def read(name: str, label: str, wanted: str) -> float:
        return value(name, kind="stock", **({label: wanted} if label else {}))

    before = {what: read(*what) for what in counted}
    observing.observe_lock("acquired", "stock", 0.001)
    observing.observe_lock("handed_over", "stock", 0.1)
    observing.observe_lock("timeout", "stock", 2.0)
    observing.observe_lock("lost", "stock", 0.0)
    observing.observe_lock("released", "stock", 0.02)
    assert {what: read(*what) - before[what] for what in counted} == pytest.approx(counted)


def test_locks_without_redis_show_as_degraded_until_redis_is_back() -> None:
    observing.observe_lock("degraded", "stock", 0.0)
    observing.observe_lock("handed_over", "stock", 0.0)
    assert value("redis_degraded", use="locks") == 1
    observing.observe_lock("acquired", "stock", 0.0)
    assert value("redis_degraded", use="locks") == 0


def test_transactions_are_counted_by_outcome_and_timed() -> None:
    before = value("db_transactions_total", outcome="unknown")
    timed = value("db_transaction_duration_seconds_count", outcome="rolled_back")
    observing.observe_transaction("unknown", 0.2)
    observing.observe_transaction("committed", 0.01)
    assert value("db_transactions_total", outcome="unknown") == before + 1
    assert value("db_transaction_duration_seconds_count", outcome="rolled_back") == timed + 1


def test_the_json_form_holds_the_same_samples() -> None:
    metrics.queue_depth.at("high").set(float("nan"))
    families = {family["name"]: family for family in json.loads(metrics.render_json())["metrics"]}
    depth = families["queue_depth"]
    assert depth["type"] == "gauge"
    assert {"name": "queue_depth", "labels": {"queue": "high"}, "value": None} in depth["samples"]
    metrics.queue_depth.at("high").set(0)


def test_the_server_gives_both_formats_and_the_probes(server: metrics.MetricsServer) -> None:
    base = f"http://127.0.0.1:{server.port}"
    text = httpx.get(f"{base}/metrics")
    assert text.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "http_requests_in_flight" in text.text
    assert "metrics" in httpx.get(f"{base}/metrics.json").json()
    assert httpx.get(f"{base}/health/live").status_code == 200
    assert httpx.get(f"{base}/health/ready").status_code == 503
    assert httpx.get(f"{base}/other").status_code == 404
    assert httpx.post(f"{base}/metrics").status_code == 405


def test_the_server_outlives_slow_huge_and_broken_clients(server: metrics.MetricsServer) -> None:
    def client() -> socket.socket:
        return socket.create_connection(("127.0.0.1", server.port), timeout=5)

    with client() as silent, client() as huge, client() as garbage, client() as gone:
        silent.sendall(b"GET /met")
        with contextlib.suppress(OSError):  # cut off: an end or a reset
            for _ in range(64):
                huge.sendall(b"x" * 4096)
            assert huge.recv(1) == b""
        garbage.sendall(b"\x00\xff\r\n\r\n")
        assert garbage.recv(64).startswith(b"HTTP/1.1 400")
        gone.close()
        assert httpx.get(f"http://127.0.0.1:{server.port}/health/live").status_code == 200
        started = time.monotonic()
        assert silent.recv(1) == b""
        assert time.monotonic() - started < 4


def test_more_connections_than_slots_are_closed_not_queued_for_ever(server: metrics.MetricsServer) -> None:
    held = [socket.create_connection(("127.0.0.1", server.port), timeout=5) for _ in range(30)]
    try:
        ended, _, _ = select.select(held, [], [], 1.0)
        assert ended  # beyond four at work and sixteen waiting
    finally:
        for connection in held:
            connection.close()


def test_closing_the_server_frees_its_port_and_threads() -> None:
    served = metrics.start_metrics_server(0, address="127.0.0.1")
    httpx.get(f"http://127.0.0.1:{served.port}/metrics")
    served.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("metrics")]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", served.port), timeout=1)
