"""API keys: `erp_<tenant>_<prefix>_<secret>`, the secret shown once and stored as a hash.

The key names its tenant, so that looking it up happens inside that tenant's fence: a wrong claim finds
no row. No role ever has to read keys across tenants.
"""

import secrets
from base64 import b32decode, b32encode
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Column, DateTime, Integer, LargeBinary, Table, Text, Uuid, bindparam, select
from sqlalchemy.dialects.postgresql import JSONB

from db.statement import TENANT, Statement, metadata

tenants = Table(
    "tenants", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("slug", Text),
    Column("name", Text),
    Column("plan", Text),
    Column("state", Text),
    Column("base_currency", Text),
    Column("country", Text),
    Column("time_zone", Text),
    Column("settings", JSONB),
    Column("database", Text),
    Column("version", Integer),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip

api_keys = Table(
    "api_keys", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("prefix", Text),
    Column("secret_hash", LargeBinary),
    Column("name", Text),
    Column("role", Text),
    Column("scopes", ARRAY(Text)),
    Column("state", Text),
    Column("expires_at", DateTime(timezone=True)),
    Column("last_used_at", DateTime(timezone=True)),
    Column("created_by", Uuid),
    Column("version", Integer),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip


class KeyRecord(NamedTuple):
    """A key with its tenant, as authentication needs them."""

    id: UUID
    secret_hash: bytes
    name: str
    role: str
    scopes: list[str]
    state: str
    expires_at: datetime | None
    slug: str
    tenant_name: str
    tenant_state: str
    base_currency: str
    country: str
    time_zone: str
    settings: dict[str, Any]
    database: str


FIND_KEY = Statement(
    select(
        api_keys.c.id, api_keys.c.secret_hash, api_keys.c.name, api_keys.c.role, api_keys.c.scopes,
        api_keys.c.state, api_keys.c.expires_at, tenants.c.slug, tenants.c.name.label("tenant_name"),
        tenants.c.state.label("tenant_state"), tenants.c.base_currency, tenants.c.country,
        tenants.c.time_zone, tenants.c.settings, tenants.c.database,
    )
    .select_from(api_keys.join(tenants, api_keys.c.tenant_id == tenants.c.tenant_id))
    .where(api_keys.c.tenant_id == TENANT, api_keys.c.prefix == bindparam("prefix")),
    KeyRecord,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PresentedKey:
    """A syntactically right key; whether it is genuine is for the database to say."""

    tenant_id: UUID
    prefix: str
    secret: str


@dataclass(frozen=True, slots=True)
class NewKey:
    """A fresh key: `token` is shown to its owner once, `secret_hash` is what is kept."""

    token: str
    prefix: str
    secret_hash: bytes


def hash_secret(secret: str) -> bytes:
    """SHA-256 is enough for 200 random bits: there is nothing to guess, so nothing to slow down."""
    return sha256(b"api-key:" + secret.encode()).digest()


def mint_key(tenant_id: UUID) -> NewKey:
    """64 bits of prefix to find the row, 200 bits of secret to prove the holder."""
    prefix, secret = secrets.token_hex(8), secrets.token_hex(25)
    tenant = b32encode(tenant_id.bytes).decode().rstrip("=").lower()
    return NewKey(f"erp_{tenant}_{prefix}_{secret}", prefix, hash_secret(secret))


def parse_key(token: str) -> PresentedKey | None:
    """None when the text is no key of ours."""
    parts = token.split("_")
    if len(parts) != 4 or parts[0] != "erp" or [len(part) for part in parts[1:]] != [26, 16, 50]:
        return None
    try:
        tenant_id = UUID(bytes=b32decode(parts[1].upper() + "======"))
    except ValueError:
        return None
    return PresentedKey(tenant_id, parts[2], parts[3])
