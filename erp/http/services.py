"""What the HTTP layer works with, built once by the composition root."""

from dataclasses import dataclass

from db.consistency import TokenCodec
from erp.kernel.paging import CursorCodec
from fleet.health import Health, Liveness, Readiness
from tenancy.admission import Gatekeeper
from tenancy.database import TenantDatabase
from tenancy.identity import Identity
from tenancy.platform import PlatformDatabase


@dataclass(frozen=True, slots=True)
class Services:
    """One set per application; every request carries a reference to it."""

    database: TenantDatabase
    platform: PlatformDatabase
    identity: Identity
    gatekeeper: Gatekeeper
    tokens: TokenCodec
    cursors: CursorCodec
    health: Health
    liveness: Liveness
    readiness: Readiness
