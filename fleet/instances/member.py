"""What an instance says of itself: once what it is, with every heartbeat how it does."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import msgspec

State = Literal["starting", "ready", "not_ready", "draining"]


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What does not change while the process runs. `id` is unique to this start, `name` to the place it runs at."""

    id: str
    name: str
    role: str
    version: str
    host: str
    pid: int
    started_at: datetime
    region: str = ""
    zone: str = ""
    #: Features this build knows; see `fleet.features`.
    features: list[str] = []


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """How much it has to do. `cpu`: cores used since the last heartbeat; `pool_*`: its database connections."""

    requests: int = 0
    jobs: int = 0
    cpu: float = 0.0
    memory_mib: float = 0.0
    pool_used: int = 0
    pool_size: int = 0
    pool_waiting: int = 0

    @property
    def rank(self) -> tuple[int, int, float]:
        """Smaller is less to do: work in hand, then callers waiting for a connection, then processor time."""
        return self.requests + self.jobs, self.pool_waiting, self.cpu


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """How it does now. `reasons`: why it is not ready. `unknown_features`: active, and not known to this build."""

    state: State
    load: Load
    reasons: list[str] = []
    unknown_features: list[str] = []


@dataclass(frozen=True, slots=True)
class Member:
    """An instance as the registry shows it; `silence`: seconds since its last heartbeat."""

    about: About
    condition: Condition
    silence: float

    @property
    def id(self) -> str:
        return self.about.id


@dataclass(frozen=True, slots=True)
class Roll:
    """Who lives, in the order of their ids.

    `degraded`: Redis does not answer, so nobody is shown. `whole`: everybody who lives has had the time to register
    since the registry was last lost; until then somebody may be missing.
    """

    members: tuple[Member, ...] = ()
    whole: bool = False
    degraded: bool = False

    def named(self, name: str) -> Member | None:
        """By id, else the newest start of that name."""
        for member in self.members:
            if member.id == name:
                return member
        starts = [member for member in self.members if member.about.name == name]
        return max(starts, key=lambda member: member.about.started_at, default=None)

    def of_role(self, role: str | None) -> list[Member]:
        """All of them without a role."""
        return [member for member in self.members if role is None or member.about.role == role]
