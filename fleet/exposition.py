"""Giving metrics out: as Prometheus text, as JSON, and over a small HTTP server for processes without one."""

import json
import math
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from fleet.instruments import REGISTRY

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_MAX_REQUEST = 4096
_PATIENCE = 2.0
_THREADS = 4
_BACKLOG = 16

Answer = tuple[int, str, bytes]


def render(registry: CollectorRegistry = REGISTRY) -> bytes:
    """All metrics in the Prometheus text format 0.0.4 (`CONTENT_TYPE`)."""
    return generate_latest(registry)


def render_json(registry: CollectorRegistry = REGISTRY) -> bytes:
    """The same as `{"metrics": [{name, type, help, samples: [{name, labels, value}]}]}`.

    JSON has no NaN and no Infinity: such a value is null.
    """
    families = [
        {
            "name": family.name,
            "type": family.type,
            "help": family.documentation,
            "samples": [
                {
                    "name": sample.name,
                    "labels": sample.labels,
                    "value": sample.value if math.isfinite(sample.value) else None,
                }
                for sample in family.samples
            ],
        }
        for family in registry.collect()
    ]
    return json.dumps({"metrics": families}, separators=(",", ":")).encode()


class MetricsServer:
    """Serves `/metrics`, `/metrics.json`, `/health/live` and `/health/ready` from threads of its own.

    Bounded in every direction: four requests at a time and sixteen waiting, 4 KiB and two seconds a
    request, one request a connection. It shows nothing secret and takes no input but a path.
    """

    def __init__(self, address: str, port: int, *, live: Callable[[], bool], ready: Callable[[], bool]) -> None:
        self._socket = socket.create_server((address, port), backlog=_BACKLOG, reuse_port=False)
        self.port: int = self._socket.getsockname()[1]
        self._routes: dict[str, Callable[[], Answer]] = {
            "/metrics": lambda: (200, CONTENT_TYPE, render()),
            "/metrics.json": lambda: (200, "application/json", render_json()),
            "/health/live": lambda: _verdict(live()),
            "/health/ready": lambda: _verdict(ready()),
        }
        self._slots = threading.BoundedSemaphore(_THREADS + _BACKLOG)
        self._workers = ThreadPoolExecutor(_THREADS, thread_name_prefix="metrics")
        self._closed = False
        self._thread = threading.Thread(target=self._accept, name="metrics-accept", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening; requests under way end within their two seconds."""
        self._closed = True
        # Closing alone does not wake a thread blocked in accept().
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(_PATIENCE)
        self._socket.close()
        self._workers.shutdown(wait=True, cancel_futures=True)

    def _accept(self) -> None:
        while not self._closed:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                continue  # closing, or the peer gave up before we came to it
            if self._closed or not self._slots.acquire(blocking=False):
                connection.close()
                continue
            self._workers.submit(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                status, kind, body = self._answer(_read_request(connection))
                connection.settimeout(_PATIENCE)
                connection.sendall(_head(status, kind, len(body)) + body)
        except OSError:
            return
        finally:
            self._slots.release()

    def _answer(self, request: bytes) -> Answer:
        words = request.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return 400, "text/plain", b"bad request\n"
        if words[0] != b"GET":
            return 405, "text/plain", b"only GET\n"
        route = self._routes.get(words[1].split(b"?", 1)[0].decode("ascii", "replace"))
        return (404, "text/plain", b"not found\n") if route is None else route()


def start_metrics_server(
    port: int,
    *,
    address: str = "0.0.0.0",  # noqa: S104  # Prometheus and the kubelet come from outside the container
    live: Callable[[], bool] = lambda: True,
    ready: Callable[[], bool] = lambda: True,
) -> MetricsServer:
    """Serve the metrics of this process; port 0 takes a free one (`.port`). Raises OSError when taken.

    Call it after the process has forked for the last time: threads do not survive a fork.
    """
    return MetricsServer(address, port, live=live, ready=ready)


def _verdict(good: bool) -> Answer:
    status, word = (200, "ok") if good else (503, "unavailable")
    return status, "application/json", json.dumps({"status": word}).encode()


def _read_request(connection: socket.socket) -> bytes:
    """Up to the blank line. Raises OSError (TimeoutError) when it takes longer or is larger than allowed."""
    deadline = time.monotonic() + _PATIENCE
    request = b""
    while b"\r\n\r\n" not in request:
        left = deadline - time.monotonic()
        if left <= 0 or len(request) > _MAX_REQUEST:
            raise TimeoutError("no complete request in time")
        connection.settimeout(left)
        piece = connection.recv(_MAX_REQUEST)
        if not piece:
            raise ConnectionError("the peer closed the connection")
        request += piece
    return request


def _head(status: int, kind: str, length: int) -> bytes:
    reasons: dict[int, Any] = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed"}
    return (
        f"HTTP/1.1 {status} {reasons.get(status, 'Service Unavailable')}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {length}\r\n"
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    ).encode()
