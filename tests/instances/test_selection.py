"""Choosing one of many: in turn, the least loaded, any; drained ones only when there is no other."""

from datetime import UTC, datetime

import pytest

from erp.operations.leader import successor
from erp.operations.leader_errors import NoOtherCoordinator
from fleet.instances.member import About, Condition, Load, Member, Roll, State
from fleet.instances.selection import Chooser

STATES: tuple[tuple[str, State], ...] = (("a", "ready"), ("b", "draining"))


def member(name: str, state: State = "ready", role: str = "api", **load: float) -> Member:
    about = About(
        id=name, name=name, role=role, version="1", host="h", pid=1, started_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    return Member(about, Condition(state=state, load=Load(**load)), 0.0)  # type: ignore[arg-type]


def test_in_turn_everybody_is_chosen_once_a_round_also_when_somebody_leaves_or_joins() -> None:
    chooser, members = Chooser(), [member(name) for name in "cab"]

    def turn(among: list[Member]) -> str:
        chosen = chooser.choose(among, "round_robin", "api")
        return chosen.id if chosen else ""

    assert [turn(members) for _ in range(4)] == ["a", "b", "c", "a"]
    assert turn([one for one in members if one.id != "b"]) == "c"
    assert [turn([*members, member("d")]) for _ in range(2)] == ["d", "a"]
    assert chooser.choose(members, "round_robin", "worker") is not None  # another role's turn is its own


def test_the_least_loaded_has_the_least_in_hand() -> None:
    members = [member("a", requests=2), member("b", jobs=1), member("c", requests=1, cpu=0.5), member("d", jobs=9)]
    chosen = Chooser().choose(members, "least_loaded", "api")
    assert chosen is not None
    assert chosen.id == "b"


def test_any_is_any_and_a_drained_one_only_when_there_is_no_other() -> None:
    chooser, members = Chooser(), [member("a"), member("b"), member("c", "draining")]
    chosen = {one.id for _ in range(200) if (one := chooser.choose(members, "random", "api"))}
    assert chosen == {"a", "b"}
    last = chooser.choose(members[2:], "least_loaded", "api")
    assert last is members[2]
    assert chooser.choose([], "random", "api") is None


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
