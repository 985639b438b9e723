"""Choosing one of many: in turn, the least loaded, any; drained ones only when there is no other."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from db.redis import connect
from erp.operations.leader import successor
from erp.operations.leader_errors import NoOtherCoordinator
from fleet.instances.member import About, Condition, Load, Member, Roll, State
from fleet.instances.registry import Registry
from fleet.instances.selection import Chooser, InTurn
from tests.tenancy.coordination.conftest import OwnRedis

STATES: tuple[tuple[str, State], ...] = (("a", "ready"), ("b", "draining"))


def member(name: str, state: State = "ready", role: str = "api", **load: float) -> Member:
    about = About(
        id=name, name=name, role=role, version="1", host="h", pid=1, started_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    return Member(about, Condition(state=state, load=Load(**load)), 0.0)  # type: ignore[arg-type]


async def nobody_knows(role: str, ids: Sequence[str]) -> str | None:
    """Redis is away."""
    return None


async def rounds(choosers: Sequence[Chooser], in_turn: InTurn, role: str) -> list[str]:
    """Who is chosen by these in turn, while one of three leaves, comes back, and a fourth one joins."""
    members, others = [member(name) for name in "cab"], itertools.cycle(choosers)
    without, more = [one for one in members if one.id != "b"], [*members, member("d")]
    chosen = [
        await next(others).choose(among, "round_robin", role, in_turn)
        for among in (members, members, members, members, without, more, more)
    ]
    assert await choosers[0].choose(members, "round_robin", f"another than {role}", in_turn) is members[1]
    return [one.id for one in chosen if one is not None]


async def test_in_turn_everybody_is_chosen_once_a_round_also_when_somebody_leaves_or_joins() -> None:
    assert await rounds([Chooser()], nobody_knows, "api") == ["a", "b", "c", "a", "c", "d", "a"]


async def test_the_turn_is_the_whole_fleets_whichever_process_chooses(own_redis: OwnRedis) -> None:
    """Behind the balancer every request meets another process."""
    redis = connect(own_redis.url, timeout=0.5)
    await redis.flushall()
    found = await rounds([Chooser() for _ in range(3)], Registry(redis).in_turn, "api")
    assert found == ["a", "b", "c", "a", "c", "d", "a"]
    # Each for itself, as while Redis is away, they choose the same one three times: the planted bug.
    assert (await rounds([Chooser() for _ in range(3)], nobody_knows, "api"))[:3] == ["a"] * 3
    own_redis.stop()
    assert await Registry(redis).in_turn("api", ["a"]) is None
    await redis.aclose()
    own_redis.start()


async def test_the_least_loaded_has_the_least_in_hand() -> None:
    members = [member("a", requests=2), member("b", jobs=1), member("c", requests=1, cpu=0.5), member("d", jobs=9)]
    chosen = await Chooser().choose(members, "least_loaded", "api", nobody_knows)
    assert chosen is not None
    assert chosen.id == "b"


async def test_any_is_any_and_a_drained_one_only_when_there_is_no_other() -> None:
    chooser, members = Chooser(), [member("a"), member("b"), member("c", "draining")]
    chosen = [await chooser.choose(members, "random", "api", nobody_knows) for _ in range(200)]
    assert {one.id for one in chosen if one} == {"a", "b"}
    last = await chooser.choose(members[2:], "least_loaded", "api", nobody_knows)
    assert last is members[2]
    assert await chooser.choose([], "random", "api", nobody_knows) is None


def test_the_lead_is_offered_to_a_ready_coordinator_that_does_not_have_it() -> None:
    roll = Roll(tuple(member(name, state, "coordinator") for name, state in STATES), whole=True)
    chosen = successor(roll, "c", "a")
    assert chosen is not None
    assert chosen.id == "a"
    assert successor(roll, "c", None) is None  # anybody
    for to in ("a", "b", "c", "nobody", None):
        with pytest.raises(NoOtherCoordinator):
            successor(roll, "a", to)
    assert successor(Roll(roll.members, whole=False), "a", None) is None  # somebody may only not be listed
