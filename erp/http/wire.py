"""What the raw request says about itself: its headers, where it came from, under which id it is traced."""

import ipaddress
import os
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from erp.http.context import SINGLE_HEADERS
from erp.http.errors import BadRequest
from fleet.deadline import LONGEST, InvalidTimeout, parse_timeout

_CORRELATION = re.compile(rb"[A-Za-z0-9-]{8,64}")
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def read_headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The headers we look at. Raises BadRequest when one that must be unique comes twice."""
    found: dict[bytes, bytes] = {}
    for name, value in raw:
        if name in SINGLE_HEADERS:
            if name in found:
                raise BadRequest(f"The header {name.decode('latin-1')} appears twice.")
            found[name] = value
        elif name == b"x-forwarded-for":
            # The last line is the nearest proxy's.
            found[name] = value
    length = found.get(b"content-length")
    if length is not None and not (length.isdigit() and len(length) < 19):
        raise BadRequest("Content-Length is not a number.")
    return found


def correlation_id(headers: dict[bytes, bytes]) -> str:
    """The client's id when it is harmless in logs and headers, else a new one; nginx has the same rule."""
    for name in (b"x-correlation-id", b"x-request-id"):
        given = headers.get(name)
        if given is not None and _CORRELATION.fullmatch(given):
            return given.decode("ascii")
    return os.urandom(16).hex()


def allowed_seconds(headers: dict[bytes, bytes]) -> float:
    """How long the request may take: its Request-Timeout, else the longest there is. Raises BadRequest."""
    given = headers.get(b"request-timeout")
    if given is None:
        return LONGEST
    try:
        return parse_timeout(given)
    except InvalidTimeout as error:
        raise BadRequest(str(error)) from None


class Proxies:
    """The proxies whose X-Forwarded-For is believed: addresses or networks ("10.0.0.0/8")."""

    def __init__(self, trusted: Iterable[str]) -> None:
        self._networks: list[_Network] = [
            ipaddress.ip_network(entry.strip(), strict=False) for entry in trusted if entry.strip()
        ]
        self.client = lru_cache(maxsize=4096)(self._client)

    def address(self, scope: Any, headers: dict[bytes, bytes]) -> str:
        """The client's address, or '' when even the peer's is unknown (a Unix socket)."""
        client = scope.get("client")
        return self.client(client[0] if client else "", headers.get(b"x-forwarded-for"))

    def _client(self, peer: str, forwarded: bytes | None) -> str:
        if forwarded is None or not self._trusts(peer):
            return peer
        # Only the last entry was written by the trusted proxy; the client wrote the others.
        last = forwarded.rpartition(b",")[2].strip().decode("latin-1")
        try:
            return str(ipaddress.ip_address(last))
        except ValueError:
            return peer

    def _trusts(self, peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self._networks)
