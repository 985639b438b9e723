"""Bringing the primary and its standbys up, from nothing or from what a previous run left."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from deploy.local.credentials import Credentials
from deploy.local.postgres import (
    PostgresServer,
    configure_primary,
    configure_replica,
    create_primary,
    create_replicas,
    lost_slots,
    reload,
    streaming,
)
from deploy.local.processes import Program, Running, await_ready
from deploy.local.roles import create_roles

Launch = Callable[[Program], Running]
START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """A primary, its standbys, and how they are created (`sync=False` only for disposable ones)."""

    primary: PostgresServer
    replicas: Sequence[PostgresServer]
    credentials: Credentials
    sync: bool = True

    def bring_up(self, launch: Launch) -> None:
        """Start everything in order; at return both standbys stream and commits wait for one of them."""
        if not self.primary.exists:
            create_primary(self.primary, self.credentials.superuser, sync=self.sync)
        self._start_primary(launch)
        create_roles(self.primary, self.credentials)
        if self.replicas:
            self._start_replicas(launch)

    def _start_primary(self, launch: Launch) -> None:
        complete = all(replica.exists for replica in self.replicas)
        configure_primary(self.primary, quorum=self._names() if complete else ())
        running = launch(self.primary.program())
        await_ready(running, lambda: self.primary.accepts(self.credentials.superuser), START_SECONDS)

    def _start_replicas(self, launch: Launch) -> None:
        lost = lost_slots(self.primary, self.credentials.superuser)
        missing = [one for one in self.replicas if not one.exists or one.name in lost]
        create_replicas(self.primary, missing, self.credentials, sync=self.sync)
        for replica in self.replicas:
            configure_replica(self.primary, replica, self.credentials)
        started = [launch(replica.program()) for replica in self.replicas]
        for replica, running in zip(self.replicas, started, strict=True):
            await_ready(running, partial(self._streams, replica), START_SECONDS)
        configure_primary(self.primary, quorum=self._names())
        reload(self.primary, self.credentials.superuser)

    def _streams(self, replica: PostgresServer) -> bool:
        password = self.credentials.superuser
        return replica.name in streaming(self.primary, password) and replica.accepts(password)

    def _names(self) -> list[str]:
        return [replica.name for replica in self.replicas]
