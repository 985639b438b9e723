"""The gate every request passes: a bounded number at once, a known caller, an admitted request.

One pure ASGI layer around the whole application, so that its answers (401, 429, 503) cost little and look
like all others.
"""

import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from litestar.types import ASGIApp, Message, Receive, Send

from db.errors import DomainError
from erp.http.answers import Headers
from erp.http.context import SCOPE_KEY, RequestContext
from erp.http.entry import Entry, Limits
from erp.http.errors import InternalError
from erp.http.problems import as_refusal, problem_reply, record_defect
from erp.http.ranks import Rank, rank_of
from erp.http.rooms import Rooms
from erp.http.services import Services
from erp.http.turns import Place, Turns
from erp.http.wire import Proxies, allowed_seconds, correlation_id, read_headers
from erp.kernel.errors import NotFound
from fleet.deadline import Deadline
from fleet.metrics import http_requests_in_flight, observe_request
from fleet.scope import Scope as Identifiers
from fleet.scope import enter_scope, leave_scope
from fleet.tracing import extract, span, valid_traceparent
from tenancy.caller import Caller, TenantFacts

#: Answered without a caller, a limit or a turn: probes must see this process, not its load.
_PROBES = frozenset({"/health/live", "/health/ready"})
_PUBLIC = frozenset({"/", "/problems", "/schema", "/docs"}) | _PROBES
_BELOW_PUBLIC = ("/problems/", "/schema/", "/docs/")
_READING = frozenset({"GET", "HEAD", "options"})
#: Answered however full the instance is, and however much of a quota is used up.
_NEVER_SHED = "/health"
_ALWAYS_TOLD = "/v1/usage"

_ALWAYS: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]
_PRIVATE: Headers = [
    (b"cache-control", b"private, no-store"),
    (b"vary", b"Authorization"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """Bounds of one instance. `concurrency` requests at once, `queue` waiting for at most `queue_wait` s."""

    limits: Limits
    concurrency: int = 48
    queue: int = 192
    queue_wait: float = 1.0
    trusted_proxies: tuple[str, ...] = ("127.0.0.1", "::1")


def is_public(path: str) -> bool:
    """Whether a path may be asked without a credential.

    Nothing depends on this alone: a route that needs a caller asks for one and gets 401 when there is none.
    """
    return path in _PUBLIC or path.startswith(_BELOW_PUBLIC)


class _Exchange:
    """One request's way out: adds the headers every answer has and notes the status."""

    __slots__ = ("context", "send_on", "status")

    def __init__(self, context: RequestContext, send: Send) -> None:
        self.context = context
        self.send_on = send
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = list(message["headers"])
            message["headers"] = own + self._headers(own)
        await self.send_on(message)

    def _headers(self, own: Headers) -> Headers:
        context = self.context
        headers = [*_ALWAYS, (b"x-correlation-id", context.correlation_id.encode())]
        if context.caller is None and any(name == b"cache-control" for name, _ in own):
            return headers
        headers += _PRIVATE
        if (admission := context.admission) is not None and admission.limit:
            headers.append((b"x-ratelimit-limit", b"%d" % admission.limit))
            headers.append((b"x-ratelimit-remaining", b"%d" % admission.remaining))
            headers.append((b"x-ratelimit-reset", b"%d" % admission.reset))
        if context.position is not None:
            token = context.services.tokens.encode(context.position)
            headers.append((b"consistency-token", token.encode()))
        return headers


class Gate:
    """ASGI middleware; the outermost layer of the application."""

    def __init__(self, app: ASGIApp, services: Services, policy: GatePolicy) -> None:
        self._app = app
        self._services = services
        self._proxies = Proxies(policy.trusted_proxies)
        self._entry = Entry(services, policy.limits)
        self.turns = Turns(policy.concurrency, queue=policy.queue, wait=policy.queue_wait)
        self.rooms = Rooms(policy.limits.tenant_concurrency, wait=policy.queue_wait)

    def limit_by(self, limits: Limits) -> None:
        """Let in so many a minute, and so many of a tenant at once, from the next request on."""
        self._entry.limit_by(limits)
        self.rooms.allowed = limits.tenant_concurrency

    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """Start-up and shutdown of the application behind the gate, where no server sends them."""
        app: Any = self._app
        lifespan: AbstractAsyncContextManager[None] = app.lifespan()
        return lifespan

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        started = time.perf_counter()
        http_requests_in_flight.inc()
        context = RequestContext(self._services, "", "", {})
        exchange = _Exchange(context, send)
        scope[SCOPE_KEY] = context
        try:
            await self._pass(scope, receive, exchange)
        except Exception as error:
            await self._refuse(scope, exchange, error)
        finally:
            http_requests_in_flight.dec()
            route = scope.get("path_template") or "unmatched"
            # 499: nobody was left to answer.
            observe_request(route, scope["method"], exchange.status or 499, time.perf_counter() - started)

    async def _pass(self, scope: Any, receive: Receive, exchange: _Exchange) -> None:
        context = exchange.context
        context.correlation_id = correlation_id(dict(scope["headers"]))
        headers = context.headers = read_headers(scope["headers"])
        context.address = self._proxies.address(scope, headers)
        path: str = scope["path"]
        if scope["method"] == "OPTIONS":
            # No route has it; Litestar would invent one that forgets other routes of the same path.
            scope["method"] = "options"
        if path in _PROBES:
            await self._app(scope, receive, exchange.send)
            return
        if not path.isprintable():
            # Control and invisible characters are no part of any route; %00 would reach the database.
            raise NotFound("There is nothing under this path.")
        with Deadline(allowed_seconds(headers)):
            await self._in_turn(scope, receive, exchange)

    async def _in_turn(self, scope: Any, receive: Receive, exchange: _Exchange) -> None:
        context, path = exchange.context, scope["path"]
        writing, rank = scope["method"] not in _READING, rank_of(scope["method"], path)
        place = Place(self.turns, rank)
        if path != _NEVER_SHED:
            await place.take()
        try:
            if is_public(path):
                await self._entry.admit_stranger(context)
                await self._app(scope, receive, exchange.send)
            else:
                await self._admitted(scope, receive, exchange, writing, place)
        finally:
            place.give_back()

    async def _admitted(self, scope: Any, receive: Receive, exchange: _Exchange, writing: bool, place: Place) -> None:
        context = exchange.context
        caller = await self._entry.admit(context, writing=writing)
        tenant, operates = caller.tenant, caller.kind == "operator"
        entered = False
        try:
            if not operates:
                self._meter(tenant, scope["path"], place.rank)
                await self.rooms.enter(tenant.id, place)
                entered = True
            await self._within_scope(scope, receive, exchange, caller)
        finally:
            if entered:
                self.rooms.leave(tenant.id)
            if writing:
                self._services.gatekeeper.remember_write(tenant.id, caller.principal_id, context.committed)

    def _meter(self, tenant: TenantFacts, path: str, rank: Rank) -> None:
        """Raises RequestQuotaExceeded, QuotaExceeded."""
        metering = self._services.metering
        metering.request(tenant, refuse=path != _ALWAYS_TOLD)
        if rank is Rank.BACKGROUND:
            metering.require_room(tenant)

    async def _within_scope(self, scope: Any, receive: Receive, exchange: _Exchange, caller: Caller) -> None:
        context = exchange.context
        traceparent = context.headers.get(b"traceparent", b"").decode("latin-1")
        token = enter_scope(
            Identifiers(
                str(caller.tenant.id),
                str(caller.principal_id),
                context.correlation_id,
                valid_traceparent(traceparent),
            )
        )
        try:
            parent = extract({"traceparent": traceparent}) if traceparent else None
            with span(scope["method"], kind="server", parent=parent) as active:
                await self._app(scope, receive, exchange.send)
                active.set(
                    **{"http.route": scope.get("path_template") or "", "http.response.status_code": exchange.status}
                )
        finally:
            leave_scope(token)

    async def _refuse(self, scope: Any, exchange: _Exchange, error: Exception) -> None:
        if exchange.status:
            # Half an answer is out: nothing can be taken back, so the connection has to break.
            raise error
        refusal: DomainError = as_refusal(error)
        if isinstance(refusal, InternalError):
            record_defect(error, scope)
        await problem_reply(refusal, scope["path"], exchange.context.correlation_id).transmit(exchange.send)

    async def _other(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
            return
        await self._app(scope, receive, send)
