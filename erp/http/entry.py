"""Who the caller is and whether there is room for one more of their requests."""

import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from uuid import UUID

from erp.http.context import RequestContext
from erp.http.errors import RateLimited
from erp.http.services import Services
from fleet.metrics import rate_limited_total
from tenancy.admission import Admission
from tenancy.api_keys import parse_key
from tenancy.caller import Caller
from tenancy.errors import Unauthorized
from tenancy.identity import Credential
from tenancy.limits import Limit, address_limit, key_limit, network_of, tenant_limit, user_limit

#: Tokens this instance has seen to be right, and for how many seconds that spares the guessing check.
_PROVEN = 20_000
_PROVEN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Requests per minute. `stranger` is for an address without a credential, `address` for one with.

    `tenant_concurrency`: requests of one tenant an instance works on at once.
    """

    user: int = 120
    key: int = 600
    tenant: int = 6_000
    address: int = 3_000
    stranger: int = 120
    tenant_concurrency: int = 40


class Entry:
    """Turns a request's Authorization header into a caller, in one Redis round trip once the token is known."""

    def __init__(self, services: Services, limits: Limits) -> None:
        self._services = services
        self._proven: OrderedDict[bytes, float] = OrderedDict()
        self.limit_by(limits)

    def limit_by(self, limits: Limits) -> None:
        """Let in so many a minute from now on; what was counted so far counts on."""

        @lru_cache(maxsize=16_384)
        def of_caller(tenant_id: UUID, principal_id: UUID, kind: str, address: str) -> tuple[Limit, ...]:
            own = key_limit if kind == "api_key" else user_limit
            return (
                own(tenant_id, principal_id, limits.key if kind == "api_key" else limits.user),
                tenant_limit(tenant_id, limits.tenant),
                address_limit(address, limits.address),
            )

        @lru_cache(maxsize=16_384)
        def of_stranger(address: str) -> Limit:
            return Limit("address", f"limit:stranger:{network_of(address)}", limits.stranger)

        self._limits_of = of_caller
        self._limit_of_stranger = of_stranger

    async def admit(self, context: RequestContext, *, writing: bool) -> Caller:
        """The caller, also put into the context. Raises Unauthorized, TenantSuspended, RateLimited.

        A writing request that this admits must be followed by `gatekeeper.remember_write`.
        """
        token = bearer_token(context.headers.get(b"authorization"))
        credential = await self._authenticate(token, context.address)
        found = credential.caller
        limits = self._limits_of(found.tenant.id, found.principal_id, found.kind, context.address)
        gatekeeper = self._services.gatekeeper
        admission = await gatekeeper.admit(found.tenant.id, found.principal_id, limits, writing)
        context.admission = admission
        if not admission.allowed:
            raise _refused(admission)
        try:
            credential = await self._services.identity.confirm(token, credential, admission.credentials)
        except BaseException:
            if writing:
                gatekeeper.remember_write(found.tenant.id, found.principal_id, None)
            raise
        caller = replace(credential.caller, address=context.address, correlation_id=context.correlation_id)
        context.caller = caller
        self._services.usage.note(caller)
        return caller

    async def admit_stranger(self, context: RequestContext) -> None:
        """Raises RateLimited."""
        admission = await self._services.gatekeeper.admit_address(self._limit_of_stranger(context.address))
        if not admission.allowed:
            raise _refused(admission)

    async def _authenticate(self, token: str, address: str) -> Credential:
        digest = sha256(token.encode()).digest()
        if self._is_proven(digest):
            return await self._services.identity.authenticate(token)
        key = parse_key(token)
        prefix = key.prefix if key else None
        gatekeeper = self._services.gatekeeper
        if wait := await gatekeeper.guessing_blocked(address, prefix):
            raise _too_many_guesses(wait)
        try:
            credential = await self._services.identity.authenticate(token)
        except Unauthorized:
            if wait := await gatekeeper.note_failure(address, prefix):
                raise _too_many_guesses(wait) from None
            raise
        self._prove(digest)
        return credential

    def _is_proven(self, digest: bytes) -> bool:
        at = self._proven.get(digest)
        return at is not None and time.monotonic() - at < _PROVEN_SECONDS

    def _prove(self, digest: bytes) -> None:
        self._proven[digest] = time.monotonic()
        self._proven.move_to_end(digest)
        if len(self._proven) > _PROVEN:
            self._proven.popitem(last=False)


def bearer_token(authorization: bytes | None) -> str:
    """Raises Unauthorized."""
    if authorization is None:
        raise Unauthorized("Send `Authorization: Bearer <API key>`.")
    scheme, _, token = authorization.partition(b" ")
    if scheme.lower() != b"bearer" or not token or not token.isascii():
        raise Unauthorized("The Authorization header is not `Bearer <API key>`.")
    return token.strip().decode("ascii")


def _refused(admission: Admission) -> RateLimited:
    name = admission.refused_by or ""
    rate_limited_total.at(name).inc()
    return RateLimited(
        f"More than {admission.limit} requests a minute for this {name}.",
        retry_after=admission.retry_after, limit_name=name, limit=admission.limit, window_seconds=60,
    )  # fmt: skip


def _too_many_guesses(wait: int) -> RateLimited:
    rate_limited_total.at("sign_in").inc()
    return RateLimited("Too many wrong credentials.", retry_after=wait, limit_name="sign_in")
