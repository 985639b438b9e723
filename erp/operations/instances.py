"""Looking at the fleet, and telling instances what to do. Recorded first, said when that is durable.

For operators. No request of a user waits for any of this, and none is routed by it.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar
from uuid import UUID, uuid5

from db.errors import DomainError
from erp.kernel.errors import NotFound
from erp.operations.instances_errors import LastInstance, RegistryUnavailable
from erp.operations.instances_queries import ALONE
from erp.operations.instances_schemas import (
    AnsweredView,
    AnswersView,
    AskedView,
    ClusterView,
    InstanceView,
    LoadView,
    RoleView,
)
from fleet.features.agreement import lacking
from fleet.instances.instance import Instance
from fleet.instances.member import Member, Roll
from tenancy.locks import Locks, execute_with_lock
from tenancy.platform import PlatformDatabase, PlatformSession
from tenancy.work import UnitOfWork

T = TypeVar("T")

_NAMESPACE: Final = UUID("7a0f0d0e-40e6-4f0b-8a57-3f1d0c2b6a55")
#: Seconds to wait for who is being drained now.
_TURN: Final = 5.0


def instance_view(member: Member) -> InstanceView:
    about, now = member.about, member.condition
    load = LoadView(**{name: getattr(now.load, name) for name in LoadView.__struct_fields__})
    return InstanceView(
        id=about.id, name=about.name, role=about.role, version=about.version, host=about.host, pid=about.pid,
        started_at=about.started_at, region=about.region, zone=about.zone, state=now.state, reasons=now.reasons,
        load=load, features=about.features, unknown_features=now.unknown_features,
        silent_for_seconds=round(member.silence, 1),
    )  # fmt: skip


def cluster_view(roll: Roll, active: frozenset[str]) -> ClusterView:
    """`active`: names of the features that are."""
    roles = sorted({one.about.role for one in roll.members})
    return ClusterView(
        instances=len(roll.members),
        roles=[_role_view(role, roll.of_role(role)) for role in roles],
        versions=dict(sorted(Counter(one.about.version for one in roll.members).items())),
        lacking=lacking(roll.members, active),
        complete=roll.whole,
        degraded=roll.degraded,
    )


def _role_view(role: str, members: Sequence[Member]) -> RoleView:
    loads, states = [one.condition.load for one in members], [one.condition.state for one in members]
    return RoleView(
        role=role, instances=len(members), ready=states.count("ready"), draining=states.count("draining"),
        requests=sum(load.requests for load in loads), jobs=sum(load.jobs for load in loads),
        cpu=round(sum(load.cpu for load in loads), 3), memory_mib=round(sum(load.memory_mib for load in loads), 1),
        pool_used=sum(load.pool_used for load in loads), pool_size=sum(load.pool_size for load in loads),
    )  # fmt: skip


async def found(instance: Instance, name: str) -> tuple[Member, Roll]:
    """By id or name. Raises RegistryUnavailable, NotFound."""
    roll = await known(instance)
    member = roll.named(name)
    if member is None:
        raise NotFound("No living instance has this id or name.", instance=name[:128])
    return member, roll


async def known(instance: Instance) -> Roll:
    """Raises RegistryUnavailable."""
    roll = await instance.registry.roll()
    if roll.degraded:
        raise RegistryUnavailable(retry_after=5)
    return roll


async def draining_alone(
    locks: Locks, platform: PlatformDatabase, tenant_id: UUID, role: str, run: Callable[[], Awaitable[T]]
) -> T:
    """`run` while nobody else drains an instance of the role, from looking who is ready to the drained one's answer.

    The primary decides; the lock in front keeps those who wait off its connections. Raises LockTimeout.
    """

    async def alone(session: PlatformSession) -> T:
        await session.load(ALONE(role=role))
        return await run()

    return await execute_with_lock(locks, tenant_id, f"drain {role}", lambda: platform.run(alone), wait=_TURN)


def refuse_last(member: Member, roll: Roll) -> None:
    """Raises LastInstance when nobody else of its role is ready."""
    others = [one for one in roll.of_role(member.about.role) if one.id != member.id]
    if not any(one.condition.state == "ready" for one in others):
        raise LastInstance(instance=member.id, role=member.about.role)


def answers_view(answers: Mapping[str, dict[str, Any] | DomainError], roll: Roll) -> AnswersView:
    data = [
        AnsweredView(instance=one, answer=None, problem=answer.code)
        if isinstance(answer, DomainError)
        else AnsweredView(instance=one, answer=answer, problem=None)
        for one, answer in answers.items()
    ]
    return AnswersView(data=data, complete=roll.whole)


class Recording:
    """The command that keeps what an operator is about to tell whom. `target`: an instance's id, a role or `all`."""

    def __init__(self, action: str, target: str, **facts: Any) -> None:
        self._action = action
        self._target = target
        self._facts = facts

    async def __call__(self, work: UnitOfWork, data: Any = None) -> AskedView:
        told = {name: getattr(data, name) for name in getattr(data, "__struct_fields__", ())}
        facts = {"target": self._target, **self._facts, **told}
        work.audit(f"instances.{self._action}", "instance", uuid5(_NAMESPACE, self._target), after=facts)
        return AskedView(action=self._action, target=self._target)
