"""A process of ours as an instance of the fleet: what it says of itself, from its settings."""

import os
import secrets
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final

from erp.settings import Settings
from fleet.configuration.watch import ConfigurationWatch
from fleet.features.feature import FEATURES
from fleet.health import Readiness
from fleet.instances.instance import Hooks, Instance, Peers
from fleet.instances.member import About

VERSION: Final = version("erp-backend")


def _nothing(draining: bool) -> None:
    """For processes whose readiness says it all."""


def about_process(settings: Settings) -> About:
    """With an id of its own for every start: a process that comes back is not the one that was killed."""
    return About(
        id=f"{settings.instance}:{secrets.token_hex(4)}", name=settings.instance, role=settings.role, version=VERSION,
        host=socket.gethostname(), pid=os.getpid(), started_at=datetime.now(UTC), region=settings.region,
        zone=settings.zone, features=sorted(FEATURES),
    )  # fmt: skip


def instance_of(
    settings: Settings,
    watch: ConfigurationWatch,
    readiness: Readiness,
    *,
    about: About | None = None,
    draining: Callable[[bool], None] = _nothing,
    peers: Peers | None = None,
) -> Instance:
    """To be started when the process works and closed when it ends."""
    hooks = Hooks(readiness, watch.configuration, watch.reload, draining, peers)
    return Instance(
        about or about_process(settings), settings.redis_sessions_url, hooks,
        heartbeat=settings.instance_heartbeat, dead_after=settings.instance_dead_after,
    )  # fmt: skip
