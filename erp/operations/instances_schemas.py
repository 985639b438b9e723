"""Instances of the fleet on the wire."""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from erp.kernel.text import Reason

RoleName = Annotated[
    str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,30}(?!\n)$", description="Role of instances.", examples=["worker"])
]
LogLevel = Literal["debug", "info", "warning", "error", "critical"]
Seconds = Annotated[int, Meta(ge=0, le=3600, description="For so many seconds; 0 ends it now.")]


class LoadView(Struct, frozen=True, kw_only=True):
    """`cpu`: cores used since the last heartbeat; `pool_*`: connections to PostgreSQL in use, open, waited for."""

    requests: int
    jobs: int
    cpu: float
    memory_mib: float
    pool_used: int
    pool_size: int
    pool_waiting: int


class InstanceView(Struct, frozen=True, kw_only=True):
    """A process that was heard of lately. `id` is unique to its start, `name` to its place.

    `unknown_features`: active features its release does not know, which is why it refuses work.
    """

    id: str
    name: str
    role: str
    version: str
    host: str
    pid: int
    started_at: datetime
    region: str
    zone: str
    state: Literal["starting", "ready", "not_ready", "draining"]
    reasons: list[str]
    load: LoadView
    features: list[str]
    unknown_features: list[str]
    silent_for_seconds: float


class InstancesView(Struct, frozen=True, kw_only=True):
    """`degraded`: Redis does not answer, so nobody is shown. `complete` is false while somebody may be missing:
    for ten seconds after the registry was lost."""

    data: list[InstanceView]
    has_more: bool
    next_cursor: str | None
    complete: bool
    degraded: bool


class RoleView(Struct, frozen=True, kw_only=True):
    """The instances of one role together."""

    role: str
    instances: int
    ready: int
    draining: int
    requests: int
    jobs: int
    cpu: float
    memory_mib: float
    pool_used: int
    pool_size: int


class ClusterView(Struct, frozen=True, kw_only=True):
    """`versions`: instances by release. `lacking`: active features by the instances that do not know them."""

    instances: int
    roles: list[RoleView]
    versions: dict[str, int]
    lacking: dict[str, list[str]]
    complete: bool
    degraded: bool


class DrainInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`force`: also when no other instance of the role is ready."""

    reason: Reason
    force: bool = False


class UndrainInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`reason` is kept in the audit trail."""

    reason: Reason


class DrainedView(Struct, frozen=True, kw_only=True):
    """What the instance answered: its state, and the requests and jobs it still works on."""

    instance: str
    state: str
    requests: int
    jobs: int


class LogLevelInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another log level for a while; afterwards the configured one holds again."""

    level: LogLevel
    seconds: Seconds
    reason: Reason


class FleetLogLevelInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same for every instance, or those of one role."""

    level: LogLevel
    seconds: Seconds
    reason: Reason
    role: RoleName | None = None


class ReloadInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every instance, or those of one role."""

    role: RoleName | None = None


class ChosenInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One instance of the role, chosen by the way named."""

    role: RoleName
    selection: Literal["round_robin", "least_loaded", "random"] = "least_loaded"


class AnsweredView(Struct, frozen=True, kw_only=True):
    """What one instance answered; `problem` is the code of why it did not."""

    instance: str
    answer: dict[str, Any] | None
    problem: str | None


class AnswersView(Struct, frozen=True, kw_only=True):
    """Everybody who was asked. `complete`: nobody can have been overlooked."""

    data: list[AnsweredView]
    complete: bool


class DiagnosticsView(Struct, frozen=True, kw_only=True):
    """Places in the code, counts and states; never a value. The parts depend on the instance's role and release."""

    instance: str
    diagnostics: dict[str, Any]


class AskedView(Struct, frozen=True, kw_only=True):
    """What was recorded before anybody was told."""

    action: str
    target: str
