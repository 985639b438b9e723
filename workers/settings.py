"""How jobs, queues and the coordinator behave; every time in seconds unless its name says otherwise."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from erp.settings import number_of


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Defaults are the product's promises: a killed worker's job runs again within 30 s.

    A job belongs to its worker for `job_lease` after its last heartbeat; the coordinator looks for expired
    leases every `sweep_poll`. A message counts as lost when its row has waited `sweep_after` and its queue in
    Redis is empty.
    """

    job_lease: float = 20.0
    job_heartbeat: float = 5.0
    job_backoff: float = 2.0
    job_backoff_cap: float = 60.0
    #: How long running jobs may go on after SIGTERM before they are handed back.
    job_drain: float = 12.0
    #: Jobs that wait in Redis per queue at most, however fast they are taken; the rest waits in PostgreSQL.
    queue_window: int = 500
    #: Jobs of one tenant in one message at most, where jobs are short; a worker's thread runs them side by side.
    queue_bundle: int = 8
    queue_heartbeat_ms: int = 15_000
    #: Out of a million commands, how many look for messages of dead workers.
    queue_maintenance_chance: int = 1_000_000
    #: Messages a worker process holds beyond those its threads work on.
    queue_ahead: int = 2
    #: How long an idle worker waits in Redis before it asks anew; a message ends the wait at once.
    queue_poll_ms: int = 1_000
    dispatch_poll: float = 0.2
    sweep_poll: float = 1.0
    sweep_after: float = 60.0
    relay_poll: float = 0.2
    relay_batch: int = 500
    stream_length: int = 100_000
    lease_ttl: float = 30.0
    lease_renewal: float = 10.0
    #: How often a coordinator that does not lead asks for the lead.
    lease_retry: float = 2.0
    gauges_poll: float = 5.0
    #: How often what the stream has not delivered is looked for in PostgreSQL, per consumer; how many events at once.
    settle_poll: float = 1.0
    bus_batch: int = 200
    #: How long an idle consumer waits inside Redis before it asks anew; an entry ends the wait at once.
    bus_wait_ms: int = 500
    #: After so long an entry that a consumer's process took and did not acknowledge is another's.
    bus_claim_ms: int = 10_000
    #: Attempts before an event is a dead letter, and the pause after the first (it doubles).
    bus_attempts: int = 5
    bus_backoff: float = 1.0
    #: How often in-doubt distributed transactions are looked for, and how long one without a decision is left alone.
    two_phase_poll: float = 5.0
    two_phase_grace: float = 10.0


def load_worker_settings(environment: Mapping[str, str] | None = None) -> WorkerSettings:
    """From `ERP_WORKER_<NAME>` variables. Raises ValueError."""
    env = os.environ if environment is None else environment
    chosen: dict[str, Any] = {}
    for field in fields(WorkerSettings):
        name = f"ERP_WORKER_{field.name.upper()}"
        if text := env.get(name):
            chosen[field.name] = number_of(name, text, int if isinstance(field.default, int) else float)
    return WorkerSettings(**chosen)
