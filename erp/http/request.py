"""The request as routes see it: who calls, which database, what position a read must have seen."""

from typing import Any

from litestar import Request
from litestar.datastructures import State
from litestar.types import HTTPReceiveMessage, Receive
from litestar.types.empty import Empty

from db.consistency import PRIMARY_ONLY
from erp.http.body import MAX_BODY
from erp.http.context import RequestContext, context_of
from erp.http.errors import ClientDisconnected, PayloadTooLarge
from tenancy.admission import Admission
from tenancy.caller import Caller
from tenancy.database import TenantDatabase
from tenancy.errors import Unauthorized
from tenancy.platform import PlatformDatabase


class ApiRequest(Request[Any, Any, State]):
    """A request that passed the gate. Set as the application's `request_class`."""

    __slots__ = ()

    @property
    def context(self) -> RequestContext:
        return context_of(self.scope)

    @property
    def caller(self) -> Caller:
        """Raises Unauthorized on a public path: what needs a caller is never public by accident."""
        if (caller := self.context.caller) is None:
            raise Unauthorized
        return caller

    @property
    def database(self) -> TenantDatabase:
        return self.context.services.database

    @property
    def platform(self) -> PlatformDatabase:
        """Across tenants: for routes of the operator only."""
        return self.context.services.platform

    @property
    def admission(self) -> Admission:
        if (admission := self.context.admission) is None:
            raise Unauthorized
        return admission

    @property
    def read_position(self) -> int | None:
        """What a read must have seen: the caller's own writes and what the Consistency-Token names.

        Raises InvalidConsistencyToken.
        """
        context = self.context
        admission = self.admission
        position = PRIMARY_ONLY if admission.needs_primary else admission.position
        if (token := context.headers.get(b"consistency-token")) is not None:
            named = context.services.tokens.decode(token.decode("latin-1"))
            position = named if position is None else max(position, named)
        return position

    async def body(self) -> bytes:
        """The whole body. Raises PayloadTooLarge (over 1 MiB), ClientDisconnected."""
        if self._body is Empty:
            self._body = self._connection_state.body = await self._read_body()
        return self._body

    async def _read_body(self) -> bytes:
        if int(self.context.headers.get(b"content-length") or 0) > MAX_BODY:
            raise PayloadTooLarge(maximum_bytes=MAX_BODY)
        chunk, more = await receive_chunk(self.receive)
        if not more:
            return _bounded(chunk)
        chunks, size = [chunk], len(chunk)
        while more and size <= MAX_BODY:
            chunk, more = await receive_chunk(self.receive)
            chunks.append(chunk)
            size += len(chunk)
        return _bounded(b"".join(chunks))


async def receive_chunk(receive: Receive) -> tuple[bytes, bool]:
    """The next piece of the body and whether more follows. Raises ClientDisconnected."""
    message: HTTPReceiveMessage = await receive()  # type: ignore[assignment]  # Litestar's union has websockets
    if message["type"] == "http.disconnect":
        raise ClientDisconnected
    return message.get("body", b""), message.get("more_body", False)


def _bounded(body: bytes) -> bytes:
    if len(body) > MAX_BODY:
        raise PayloadTooLarge(maximum_bytes=MAX_BODY)
    return body
