"""What the gate learned about one request, before any route knows of it."""

from typing import Any, Final

from erp.http.services import Services
from tenancy.admission import Admission
from tenancy.caller import Caller

#: Where the context stands in the ASGI scope.
SCOPE_KEY: Final = "erp"

#: Headers the gate keeps, by their ASGI name. Each may come once only, so that no two readers disagree.
SINGLE_HEADERS: Final = frozenset(
    {
        b"authorization", b"content-type", b"content-encoding", b"content-length", b"idempotency-key", b"if-match",
        b"consistency-token", b"x-correlation-id", b"x-request-id", b"traceparent", b"request-timeout",
    }
)  # fmt: skip


class RequestContext:
    """`position` is what goes out as Consistency-Token; `committed` the last commit of this request."""

    __slots__ = ("address", "admission", "caller", "committed", "correlation_id", "headers", "position", "services")

    def __init__(self, services: Services, correlation_id: str, address: str, headers: dict[bytes, bytes]) -> None:
        self.services = services
        self.correlation_id = correlation_id
        self.address = address
        self.headers = headers
        self.caller: Caller | None = None
        self.admission: Admission | None = None
        self.position: int | None = None
        self.committed: int | None = None

    def wrote(self, position: int | None) -> None:
        """A transaction of this request committed at `position` (None: it had nothing to write)."""
        if position is not None and (self.committed is None or position > self.committed):
            self.committed = self.position = position


def context_of(scope: Any) -> RequestContext:
    context: RequestContext = scope[SCOPE_KEY]
    return context
