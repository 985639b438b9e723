"""The payment provider over HTTP: bounded in time and size, behind a breaker, repeated within a budget.

Anything but a well-formed answer to the very key that was asked counts as no answer: a timeout is not a refusal,
and neither is a 500.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any

import httpx
import msgspec

from erp.fulfilment.errors import PaymentsNotAwaited, PaymentsUnavailable
from erp.fulfilment.port import LedgerPayment, PaymentAnswer, PaymentRequest
from fleet.breaker import Breaker, RetryBudget, retried
from fleet.deadline import within

#: An answer has a few fields; whoever sends more is not answering.
_LARGEST = 256 * 1024
_CONNECT = 1.0
_answer = msgspec.json.Decoder(PaymentAnswer)
_ledger = msgspec.json.Decoder(list[LedgerPayment])


class HttpPayments:
    """A client for one provider.

    `timeout`: seconds one call may take in all where it names none; less when the caller's deadline is nearer, and
    then no answer is no failure of the provider's.
    """

    def __init__(self, url: str, *, timeout: float = 5.0, breaker: Breaker | None = None) -> None:
        self._timeout = timeout
        self._breaker = breaker or Breaker("payments")
        self._budget = RetryBudget("payments")
        # A connection a call: an answer that is sent twice must not be the next call's first one.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.AsyncClient(base_url=url, trust_env=False, follow_redirects=False, limits=limits)

    async def perform(self, key: str, request: PaymentRequest, timeout: float | None = None) -> PaymentAnswer:
        """Repeated by nobody here: the caller looks the key up first."""
        body, path = msgspec.json.encode(request), f"/v1/operations/{key}"
        status, content = await self._breaker.call(lambda: self._ask("PUT", path, timeout, content=body))
        if status not in (200, 201, 402, 409):
            raise PaymentsUnavailable(f"The provider answered {status}.")
        return _checked(key, content)

    async def look_up(self, key: str, timeout: float | None = None) -> PaymentAnswer | None:
        status, content = await self._read(f"/v1/operations/{key}", timeout)
        if status == 404:
            return None
        if status != 200:
            raise PaymentsUnavailable(f"The provider answered {status}.")
        return _checked(key, content)

    async def ledger(self, account: str, after: str, limit: int) -> Sequence[LedgerPayment]:
        query = {"account": account, "after": after, "limit": str(limit)}
        status, content = await self._read("/v1/payments", None, params=query)
        if status != 200:
            raise PaymentsUnavailable(f"The provider answered {status}.")
        try:
            return _ledger.decode(content)
        except msgspec.DecodeError as error:
            raise PaymentsUnavailable("The provider's answer cannot be read.") from error

    async def close(self) -> None:
        await self._client.aclose()

    async def _read(self, path: str, timeout: float | None, **options: Any) -> tuple[int, bytes]:
        def ask() -> Awaitable[tuple[int, bytes]]:
            return self._breaker.call(lambda: self._ask("GET", path, timeout, **options))

        return await retried(ask, self._budget)

    async def _ask(self, method: str, path: str, allowed: float | None, **options: Any) -> tuple[int, bytes]:
        allowed = allowed or self._timeout
        seconds = within(allowed)
        try:
            # One bound for all of it: the client's own bounds are per read, and a drip never ends.
            async with asyncio.timeout(seconds):
                timeout = httpx.Timeout(seconds, connect=min(seconds, _CONNECT))
                async with self._client.stream(method, path, timeout=timeout, **options) as reply:
                    content = b""
                    async for part in reply.aiter_bytes():
                        content += part
                        if len(content) > _LARGEST:
                            raise PaymentsUnavailable("The provider's answer is too large.")
        except (httpx.HTTPError, TimeoutError) as error:
            if _cut_short(error, seconds, allowed):
                raise PaymentsNotAwaited(f"The provider did not answer within {seconds:.1f} s.") from error
            raise PaymentsUnavailable(f"The provider did not answer ({type(error).__name__}).") from error
        if reply.status_code >= 500:
            raise PaymentsUnavailable(f"The provider answered {reply.status_code}.")
        return reply.status_code, content


def _cut_short(error: Exception, seconds: float, allowed: float) -> bool:
    """Whether the provider had less time than a call is `allowed`: only `seconds`, for the caller had no more."""
    if isinstance(error, httpx.ConnectTimeout):
        return seconds < min(allowed, _CONNECT)
    return isinstance(error, httpx.TimeoutException | TimeoutError) and seconds < allowed


def _checked(key: str, content: bytes) -> PaymentAnswer:
    try:
        answer = _answer.decode(content)
    except msgspec.DecodeError as error:
        raise PaymentsUnavailable("The provider's answer cannot be read.") from error
    if answer.key != key:
        raise PaymentsUnavailable("The provider answered another question.")
    return answer
