"""A small HTTP/1.1 server that does what a test tells it to: the application behind a real nginx."""

import json
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Backend:
    """One instance. `paths` holds what arrived; /hang/up answers nothing and closes the connection.

    `arrivals` gets each request's line before its body is read.
    """

    server: ThreadingHTTPServer
    name: str
    arrivals: "queue.Queue[str]"
    paths: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])


@contextmanager
def backend(name: str, port: int, arrivals: "queue.Queue[str]") -> Iterator[Backend]:
    """Run an instance on the port until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", port), _handler(name))
    server.daemon_threads = True
    found = Backend(server, name, arrivals)
    server.found = found  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(name: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            found: Backend = self.server.found  # type: ignore[attr-defined]
            found.paths.append(f"{self.command} {self.path}")
            found.arrivals.put(f"{self.command} {self.path}")
            body = self._read_body()
            if self.path == "/hang/up":
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            headers = {key.lower(): value for key, value in self.headers.items()}
            text = json.dumps({"instance": name, "path": self.path, "headers": headers, "body": len(body)}).encode()
            self.send_response(409 if self.path == "/refused" else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.send_header("ETag", '"7"')
            if self.path == "/docs":
                self.send_header("Content-Security-Policy", "default-src 'self'")
            self.end_headers()
            self.wfile.write(text)

        def _read_body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") == "chunked":
                return self._read_chunks()
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))

        def _read_chunks(self) -> bytes:
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        do_GET = do_POST = _answer

        def log_message(self, format: str, *args: object) -> None:
            """Silent: what arrived is in `paths`."""

    return Handler
