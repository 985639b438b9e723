"""From a bearer token to a caller: looked up once, remembered briefly, revoked at once.

Every admission brings the tenant's credential version along (one counter in Redis). A remembered key is
used only while that version is the one it was loaded under, so revoking a key or suspending a tenant takes
effect on every instance with the next request. While Redis is away, keys are remembered for two seconds.
"""

import hmac
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import psycopg

from db.clock import clock
from db.errors import Overloaded, PrimaryUnavailable
from db.pool import Pool, flush
from db.statement import Bound
from db.two_phase import MAIN
from tenancy.api_keys import FIND_KEY, KeyRecord, NewKey, PresentedKey, hash_secret, mint_key, parse_key
from tenancy.caller import Caller, TenantFacts
from tenancy.directory import PLACEMENT
from tenancy.errors import TenantSuspended, Unauthorized
from tenancy.permissions import ROLES
from tenancy.work import Bounds, scoped, settings_of

#: The operator's pseudo-tenant. Its rows are the platform's own (configuration, and the trail of changing it);
#: no tenant has its id, so row-level security shows it nothing else.
PLATFORM = TenantFacts(
    id=UUID(int=0), slug="platform", name="Platform", state="active", base_currency="XXX", country="ZZ",
    time_zone="UTC",
)  # fmt: skip
OPERATOR_ID = UUID(int=1)

_UNKNOWN_SECRET = b"\0" * 32


@dataclass(frozen=True, slots=True)
class Credential:
    """An authenticated caller and the credential version it was loaded under (None: not known)."""

    caller: Caller
    version: str | None
    loaded_at: float
    expires_at: datetime | None = None


class Identity:
    """Authenticates bearer tokens against the primary and remembers them for as long as nothing changed."""

    def __init__(
        self,
        primary: Pool,
        *,
        operator_key: str,
        placed: Mapping[str, Pool] | None = None,
        remember: float = 60.0,
        remember_unversioned: float = 2.0,
        rest: float = 5.0,
        capacity: int = 10_000,
    ) -> None:
        self._primary = primary
        self._placed = placed or {}
        #: Tenants that live elsewhere; they never move. Found again even while the first database is away.
        self._homes: dict[UUID, str] = {}
        self._operator_digest = sha256(operator_key.encode()).digest()
        self._remember = remember
        self._remember_unversioned = remember_unversioned
        self._rest = rest
        self._capacity = capacity
        self._primary_rests_until = 0.0
        self._known: OrderedDict[bytes, Credential] = OrderedDict()

    async def authenticate(self, token: str) -> Credential:
        """Who the token claims to be, possibly from memory: to be confirmed after admission.

        Raises Unauthorized, TenantSuspended.
        """
        digest = sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is not None and time.monotonic() - known.loaded_at < self._remember:
            return known
        if known is not None and time.monotonic() < self._primary_rests_until and not _expired(known.expires_at):
            return known
        try:
            return await self._load(token, digest, None)
        except (PrimaryUnavailable, Overloaded):
            # Without the primary nobody can change a credential either; `confirm` still asks for its version.
            self._primary_rests_until = time.monotonic() + self._rest
            if known is None or _expired(known.expires_at):
                raise
            return known

    @staticmethod
    def mint(tenant_id: UUID) -> NewKey:
        """A fresh key that this service will recognise once its hash is stored."""
        return mint_key(tenant_id)

    async def confirm(self, token: str, credential: Credential, version: str | None) -> Credential:
        """The same credential while its version holds, else loaded anew. Raises as authenticate.

        `version` was read before this call, so a row loaded now is at least as new: a revocation that
        comes later brings another version with the next request.
        """
        if credential.caller.kind == "operator":
            return credential
        if version is None:
            # Redis is away: what was loaded in the last moments is believed, as it says how old it may be.
            current = time.monotonic() - credential.loaded_at < self._remember_unversioned
        else:
            current = credential.version == version
        if current and not _expired(credential.expires_at):
            return credential
        return await self._load(token, sha256(token.encode()).digest(), version)

    async def _load(self, token: str, digest: bytes, version: str | None) -> Credential:
        if hmac.compare_digest(digest, self._operator_digest):
            return Credential(_operator(), None, time.monotonic())
        key = parse_key(token)
        if key is None:
            raise Unauthorized("The bearer token is not a key of this service.")
        loaded_at = time.monotonic()
        found = await self._find(key)
        self._known.pop(digest, None)
        record = self._genuine(key, found)
        credential = Credential(_caller(key.tenant_id, record), version, loaded_at, record.expires_at)
        self._known[digest] = credential
        if len(self._known) > self._capacity:
            self._known.popitem(last=False)
        return credential

    async def _find(self, key: PresentedKey) -> KeyRecord | None:
        wanted, tenant_id = FIND_KEY(prefix=key.prefix), key.tenant_id
        home = self._homes.get(tenant_id)
        if home is None:
            # In one round trip: the key, and where to look for it should it not be here.
            found, placed = await self._ask(self._primary, tenant_id, wanted, PLACEMENT())
            if found or not placed or placed[0][0] == MAIN:
                return found[0] if found else None
            home = self._homes[tenant_id] = str(placed[0][0])
        if (pool := self._placed.get(home)) is None:
            raise PrimaryUnavailable(f"This instance does not know the database `{home}`.", retry_after=5)
        [found] = await self._ask(pool, tenant_id, wanted)
        return found[0] if found else None

    @staticmethod
    async def _ask(pool: Pool, tenant_id: UUID, *statements: Bound[Any]) -> list[list[Any]]:
        body = [settings_of(tenant_id, Bounds()), *(scoped(one, tenant_id) for one in statements)]
        try:
            async with pool.connection() as connection:
                return (await flush(connection, body))[1:]
        except psycopg.OperationalError as error:
            raise PrimaryUnavailable(retry_after=2) from error

    def _genuine(self, key: PresentedKey, record: KeyRecord | None) -> KeyRecord:
        """The same work whether or not the row exists, so that time tells nothing."""
        stored = bytes(record.secret_hash) if record else _UNKNOWN_SECRET
        if not hmac.compare_digest(hash_secret(key.secret), stored) or record is None:
            raise Unauthorized("The API key is unknown, expired or revoked.")
        if record.state != "active" or _expired(record.expires_at):
            raise Unauthorized("The API key is unknown, expired or revoked.")
        if record.tenant_state != "active":
            raise TenantSuspended(f"The tenant is {record.tenant_state}.", state=record.tenant_state)
        return record


def _expired(moment: datetime | None) -> bool:
    return moment is not None and moment <= clock.now()


def _operator() -> Caller:
    return Caller(
        tenant=PLATFORM, principal_id=OPERATOR_ID, kind="operator", name="operator", role="operator",
        scopes=frozenset({"platform:*", "configuration:*", "audit:read"}),
    )  # fmt: skip


def _caller(tenant_id: UUID, record: KeyRecord) -> Caller:
    tenant = TenantFacts(
        id=tenant_id, slug=record.slug, name=record.tenant_name, state=record.tenant_state,
        base_currency=record.base_currency, country=record.country, time_zone=record.time_zone,
        settings=record.settings, database=record.database,
    )  # fmt: skip
    scopes = ROLES.get(record.role, frozenset()) | frozenset(record.scopes)
    return Caller(
        tenant=tenant, principal_id=record.id, kind="api_key", name=record.name, role=record.role, scopes=scopes
    )
