"""How many jobs of one tenant may run at a time, queue by queue, as configured at this moment."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fleet.configuration.keys import Key
from fleet.configuration.snapshot import SYSTEM, Snapshot, current
from tenancy.job_keys import LEFT_TO_OTHERS, MAX_RUNNING

#: No cap.
ANY = 0
#: Threads a queue is taken to have while none are known: those of one process.
THREADS = 4


def share(queue: str, threads: int) -> int:
    """Jobs a tenant may have under way of those that are not short; 0 means any number. `threads`: the queue's."""
    left = current().get(LEFT_TO_OTHERS[queue])
    return ANY if left == 0 else max(1, (threads or THREADS) - left)


class RunningCaps:
    """A tenant's own value can lower the system's for itself, never raise it; 0 means any number."""

    def __init__(self) -> None:
        self._seen: Snapshot | None = None
        self._own: dict[str, list[Any]] = {}

    def of_system(self, queue: str) -> int:
        return current().get(MAX_RUNNING[queue])

    def of_tenant(self, tenant_id: UUID) -> Mapping[str, int]:
        """Queue -> cap, for the queues where the tenant has one."""
        found = {queue: self._of(tenant_id, queue, key) for queue, key in MAX_RUNNING.items()}
        return {queue: cap for queue, cap in found.items() if cap != ANY}

    def own(self) -> dict[str, list[Any]]:
        """The tenants with values of their own and what they come to, as the parameters of `ENQUEUE`."""
        snapshot = current().snapshot
        if snapshot is not self._seen:
            self._seen, self._own = snapshot, self._collected(snapshot)
        return self._own

    def _collected(self, snapshot: Snapshot) -> dict[str, list[Any]]:
        queues = {key.name: queue for queue, key in MAX_RUNNING.items()}
        owned = [(queues[name], scope) for scope, name in snapshot.values if name in queues and scope != SYSTEM]
        return {
            "capped_queues": [queue for queue, _ in owned],
            "capped_tenants": [tenant_id for _, tenant_id in owned],
            "own_caps": [self._of(tenant_id, queue, MAX_RUNNING[queue]) for queue, tenant_id in owned],
        }

    def _of(self, tenant_id: UUID, queue: str, key: Key[int]) -> int:
        caps = (self.of_system(queue), current().get(key, tenant_id))
        return min((cap for cap in caps if cap != ANY), default=ANY)
