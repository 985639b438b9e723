"""nginx with TLS in front of the API instances, from the templates in nginx/."""

import re
import signal
import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.accounts import Account
from deploy.local.binaries import version_of
from deploy.local.certificates import ensure_certificate
from deploy.local.errors import LocalFleetError
from deploy.local.processes import Program, Running, complete, run

TEMPLATES = Path(__file__).resolve().parents[2] / "nginx"
PLACEHOLDER = re.compile(r"\$\{([A-Z0-9_]+)\}")
HTTP2_DIRECTIVE_SINCE = (1, 25, 1)
HTTPS_DEFAULT = 443


def render(template: str, values: Mapping[str, str]) -> str:
    """Fill in ${UPPER_CASE} names; raises LocalFleetError for one without a value."""

    def value(found: re.Match[str]) -> str:
        name = found.group(1)
        if name not in values:
            raise LocalFleetError(f"the nginx template names {name}, which has no value")
        return values[name]

    return PLACEHOLDER.sub(value, template)


@dataclass(frozen=True, slots=True)
class Nginx:
    """One load balancer. Limits count per client address: requests a second, burst above it, connections."""

    folder: Path
    https_port: int
    http_port: int
    log: Path
    access_log: Path
    binary: Path
    account: Account | None
    api_ports: tuple[int, ...]
    authority: Path
    requests_per_second: int = 10
    burst: int = 20
    connections: int = 10
    templates: Path = TEMPLATES

    @property
    def url(self) -> str:
        return "https://localhost" + ("" if self.https_port == HTTPS_DEFAULT else f":{self.https_port}")

    def configure(self) -> None:
        """Write certificate and configuration and have nginx check them. Raises StartFailed quoting it."""
        if not self.templates.is_dir():
            raise LocalFleetError(f"{self.templates} is missing: the fleet runs from a checkout of the repository.")
        certificate, key = self.folder / "certificate.pem", self.folder / "key.pem"
        ensure_certificate(certificate, key, self.authority)
        written = [certificate, key]
        for source in sorted(self.templates.glob("*.conf*")):
            target = self.folder / source.name.removesuffix(".template")
            text = source.read_text()
            target.write_text(render(text, self._values()) if source.suffix == ".template" else text)
            written.append(target)
        self.access_log.touch()
        if self.account is not None:
            self.account.owns(*written, self.access_log)
        complete(run((*self._command, "-t"), folder=self.folder, account=self.account))

    def balance(self, running: Running, ready: Iterable[int]) -> None:
        """Send requests to these instances only; to all when none is ready (all look bad: keep going)."""
        chosen = set(ready)
        self._upstream.write_text(self._servers(chosen or set(self.api_ports)))
        running.process.send_signal(signal.SIGHUP)

    def program(self) -> Program:
        return Program(
            name="nginx",
            command=self._command,
            log=self.log,
            folder=self.folder,
            account=self.account,
            stop_signal=signal.SIGQUIT,  # finish the requests in hand
            stop_seconds=8.0,
        )

    def accepts(self) -> bool:
        """True when a TLS handshake with our own certificate succeeds."""
        trust = ssl.create_default_context(cafile=str(self.authority))
        try:
            with (
                socket.create_connection(("127.0.0.1", self.https_port), timeout=2) as raw,
                trust.wrap_socket(raw, server_hostname="localhost"),
            ):
                return True
        except OSError:
            return False

    @property
    def _command(self) -> tuple[str, ...]:
        return (
            str(self.binary),
            "-e",
            "stderr",
            "-p",
            f"{self.folder}/",
            "-c",
            str(self.folder / "nginx.conf"),
        )

    @property
    def _upstream(self) -> Path:
        return self.folder / "upstream.conf"

    def _servers(self, ready: set[int]) -> str:
        down = {port: "" if port in ready else " down" for port in self.api_ports}
        return "".join(f"server 127.0.0.1:{port} max_fails=0{down[port]};\n" for port in self.api_ports)

    def _values(self) -> dict[str, str]:
        separate = version_of(self.binary, "-v") >= HTTP2_DIRECTIVE_SINCE
        default = self.https_port == HTTPS_DEFAULT
        return {
            "WORKER_PROCESSES": "auto",
            "RUN_DIR": str(self.folder),
            "CONFIG_DIR": str(self.folder),
            "ERROR_LOG": "stderr",
            "ACCESS_LOG": f"{self.access_log} json_line buffer=64k flush=1s",
            "TLS_CERTIFICATE": str(self.folder / "certificate.pem"),
            "TLS_KEY": str(self.folder / "key.pem"),
            "HTTP_LISTEN": f"127.0.0.1:{self.http_port}",
            "HTTPS_LISTEN": f"127.0.0.1:{self.https_port} ssl" + ("" if separate else " http2"),
            "HTTP2_DIRECTIVE": "http2 on;" if separate else "",
            "HTTPS_SUFFIX": "" if default else f":{self.https_port}",
            "SERVER_NAME": "_",
            "REQUESTS_PER_SECOND": str(self.requests_per_second),
            "BURST": str(self.burst),
            "CONNECTIONS": str(self.connections),
            "API_SERVERS": self._servers(set(self.api_ports)),
        }
