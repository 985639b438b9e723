"""What a caller may do per window, and the approximate counting of one process without Redis."""

import hashlib
import ipaddress
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from uuid import UUID

MINUTE_MS = 60_000
LimitName = Literal["user", "key", "tenant", "address"]


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `allowed` requests in any window of `window_ms`. Build it once per subject: `key` is final."""

    name: LimitName
    key: str
    allowed: int
    window_ms: int = MINUTE_MS
    #: `allowed` and `window_ms` as the script takes them.
    bounds: tuple[bytes, bytes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        bounds = (str(self.allowed).encode(), str(self.window_ms).encode())
        object.__setattr__(self, "bounds", bounds)


def user_limit(tenant_id: UUID, principal_id: UUID, allowed: int, window_ms: int = MINUTE_MS) -> Limit:
    return Limit("user", f"limit:{tenant_id}:user:{principal_id}", allowed, window_ms)


def key_limit(tenant_id: UUID, key_id: UUID, allowed: int, window_ms: int = MINUTE_MS) -> Limit:
    return Limit("key", f"limit:{tenant_id}:key:{key_id}", allowed, window_ms)


def tenant_limit(tenant_id: UUID, allowed: int, window_ms: int = MINUTE_MS) -> Limit:
    return Limit("tenant", f"limit:{tenant_id}:tenant", allowed, window_ms)


def address_limit(address: str, allowed: int, window_ms: int = MINUTE_MS) -> Limit:
    return Limit("address", f"limit:address:{network_of(address)}", allowed, window_ms)


def guess_limits(address: str, prefix: str | None, allowed: int = 5) -> tuple[Limit, ...]:
    """Failed credentials per address and, where the credential has one, per key prefix."""
    limits = [Limit("address", f"guess:address:{network_of(address)}", allowed)]
    if prefix is not None:
        limits.append(Limit("key", f"guess:prefix:{hashlib.sha256(prefix.encode()).hexdigest()}", allowed))
    return tuple(limits)


def network_of(address: str) -> str:
    """The address as a key: IPv4 whole, IPv6 its /64 (one customer), anything else a digest."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return hashlib.sha256(address.encode(errors="replace")).hexdigest()
    if isinstance(parsed, ipaddress.IPv6Address):
        parsed = parsed.ipv4_mapped or ipaddress.IPv6Address(int(parsed) >> 64 << 64)
    return str(parsed)


class Verdict(NamedTuple):
    """`refused`: index of the limit without room, None when all had. Milliseconds; `tightest` is an index."""

    refused: int | None
    tightest: int
    remaining: int
    reset_ms: float
    wait_ms: float


@dataclass(slots=True)
class _Window:
    slot: int = -1
    count: int = 0
    before: int = 0


class LocalWindows:
    """The sliding windows of `lua/window.lua` in this process' memory; forgets the oldest past `size`.

    `share`: what part of each limit this process may use (strict counting: 1).
    """

    def __init__(self, *, size: int = 20_000, now_ms: Callable[[], float] | None = None) -> None:
        self._windows: dict[str, _Window] = {}
        self._size = size
        self._now_ms = now_ms or (lambda: time.monotonic() * 1000)

    def admit(self, limits: Sequence[Limit], share: float = 1.0) -> Verdict:
        """Charge every limit, or none when one has no room."""
        now = self._now_ms()
        looks = [(self._at(limit, now), math.ceil(limit.allowed * share), limit.window_ms) for limit in limits]
        waits = [_delay(window, allowed, length, now) for window, allowed, length in looks]
        rooms = [allowed - _used(window, length, now) for window, allowed, length in looks]
        if not limits:
            return Verdict(None, 0, 0, 0, 0)
        worst = max(range(len(waits)), key=waits.__getitem__)
        if waits[worst] > 0:
            return Verdict(worst, worst, 0, _left(looks[worst][2], now), waits[worst])
        for window, _, _ in looks:
            window.count += 1
        tightest = min(range(len(rooms)), key=rooms.__getitem__)
        return Verdict(None, tightest, max(0, int(rooms[tightest] - 1)), _left(looks[tightest][2], now), 0)

    def wait_ms(self, limits: Sequence[Limit]) -> float:
        """Milliseconds until every limit has room; charges nothing."""
        now = self._now_ms()
        return max(_delay(self._at(limit, now), limit.allowed, limit.window_ms, now) for limit in limits)

    def charge(self, limits: Sequence[Limit]) -> None:
        """Count one against every limit, room or not."""
        now = self._now_ms()
        for limit in limits:
            self._at(limit, now).count += 1

    def _at(self, limit: Limit, now: float) -> _Window:
        window = self._windows.get(limit.key)
        if window is None:
            if len(self._windows) >= self._size:
                del self._windows[next(iter(self._windows))]
            window = self._windows[limit.key] = _Window()
        slot = int(now // limit.window_ms)
        if window.slot != slot:
            window.before = window.count if window.slot == slot - 1 else 0
            window.slot, window.count = slot, 0
        return window


def _left(length: int, now: float) -> float:
    return length - now % length


def _used(window: _Window, length: int, now: float) -> float:
    return window.count + window.before * _left(length, now) / length


def _delay(window: _Window, allowed: int, length: int, now: float) -> float:
    """Milliseconds until one more fits; 0 = now."""
    if _used(window, length, now) + 1 <= allowed:
        return 0
    if allowed < 1:
        return length
    if window.count + 1 <= allowed:
        return _left(length, now) - length * (allowed - 1 - window.count) / window.before
    return _left(length, now) + length * (1 - (allowed - 1) / window.count)
