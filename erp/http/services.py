"""What the HTTP layer works with, built once by the composition root."""

from dataclasses import dataclass, field

from db.consistency import TokenCodec
from db.two_phase import TwoPhase
from erp.kernel.paging import CursorCodec
from fleet.configuration.snapshot import Configuration
from fleet.health import Health, Liveness, Readiness
from fleet.instances.instance import Instance
from tenancy.admission import Gatekeeper
from tenancy.cache.service import TenantCache
from tenancy.database import TenantDatabase
from tenancy.identity import Identity
from tenancy.key_usage import KeyUsage
from tenancy.locks import LockService
from tenancy.metering import Metering
from tenancy.placement import Platforms
from tenancy.platform import PlatformDatabase


@dataclass(frozen=True, slots=True)
class Services:
    """One set per application; every request carries a reference to it."""

    database: TenantDatabase
    platform: PlatformDatabase
    platforms: Platforms
    two_phase: TwoPhase
    identity: Identity
    gatekeeper: Gatekeeper
    locks: LockService
    cache: TenantCache
    tokens: TokenCodec
    cursors: CursorCodec
    health: Health
    liveness: Liveness
    readiness: Readiness
    usage: KeyUsage
    instance: Instance
    metering: Metering
    configuration: Configuration = field(default_factory=Configuration)
