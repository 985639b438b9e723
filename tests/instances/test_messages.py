"""Instances tell and ask each other: answered, refused, or given up within the time allowed; nobody is deafened."""

import asyncio
import logging
import time
from typing import Any

import msgspec
import pytest

from db.redis import connect
from fleet.deadline import Deadline, DeadlineExceeded
from fleet.instances.bus import Bus
from fleet.instances.envelope import (
    EVERYBODY,
    MOST_BYTES,
    Envelope,
    InstanceRefused,
    InstanceSilent,
    InstanceUnreachable,
    role_address,
)
from fleet.instances.instance import DIAGNOSE, DRAIN, LOG, PING, RELOAD, UNDRAIN
from fleet.metrics import instance_coordination_messages_total
from tests.instances.conftest import Fleet, kill, until
from tests.tenancy.coordination.conftest import OwnRedis


async def test_a_question_is_answered_by_the_one_who_was_asked(fleet: Fleet) -> None:
    asking, asked, _ = await fleet.join(), await fleet.join("worker", features=("one_thing",)), await fleet.join()
    sent = instance_coordination_messages_total.at(PING, "sent")
    before = sent._value.get()
    assert await asking.bus.ask(asked.about.id, PING) == {"features": ["one_thing"]}
    assert sent._value.get() == before + 2  # question and answer, both of this process


async def test_two_hundred_questions_at_once_get_their_own_answers(fleet: Fleet) -> None:
    asking, asked = await fleet.join(), await fleet.join()

    async def double(body: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"is": body["of"] * 2}

    asked.bus.answer("double", double)
    for begin in range(0, 200, 10):
        numbers = range(begin, begin + 10)
        answers = await asyncio.gather(*(asking.bus.ask(asked.about.id, "double", {"of": n}) for n in numbers))
        assert [one["is"] for one in answers] == [n * 2 for n in numbers]


async def test_who_does_not_answer_in_time_is_given_up(fleet: Fleet) -> None:
    asking, asked = await fleet.join(), await fleet.join()
    answered = asyncio.Event()

    async def slow(body: dict[str, Any]) -> dict[str, Any]:
        await answered.wait()
        return {"late": True}

    asked.bus.answer("slow", slow)
    began = time.monotonic()
    with pytest.raises(InstanceSilent):
        await asking.bus.ask(asked.about.id, "slow", timeout=0.3)
    assert time.monotonic() - began < 5
    answered.set()  # the late answer finds nobody who waits
    assert "features" in await asking.bus.ask(asked.about.id, PING)


async def test_nobody_asks_for_longer_than_the_request_may_take(fleet: Fleet) -> None:
    asking, asked = await fleet.join(), await fleet.join()
    answered = asyncio.Event()

    async def slow(body: dict[str, Any]) -> dict[str, Any]:
        await answered.wait()
        return {}

    asked.bus.answer("slow", slow)
    began = time.monotonic()
    with Deadline(0.3), pytest.raises(InstanceSilent):
        await asking.bus.ask(asked.about.id, "slow", timeout=30)
    with Deadline(0.3):
        [answer] = (await asking.bus.ask_all([asked.about.id], "slow", timeout=30)).values()
    assert isinstance(answer, InstanceSilent)
    assert time.monotonic() - began < 5
    with Deadline(0), pytest.raises(DeadlineExceeded):
        await asking.bus.ask_all([asked.about.id], PING)
    answered.set()


async def answered_after_a_late_answer(fleet: Fleet) -> int:
    """Which question's answer the second one got, when that of the first comes after it was given up."""
    asking, asked = await fleet.join(), await fleet.join()
    given_up = asyncio.Event()

    async def tell(body: dict[str, Any]) -> dict[str, Any]:
        if body["question"] == 1:
            await given_up.wait()
        else:
            given_up.set()
            while len(asked.bus._tasks) > 1:  # noqa: ASYNC110  # until the first answer is on its way
                await asyncio.sleep(0.01)
        return {"question": body["question"]}

    asked.bus.answer("tell", tell)
    with pytest.raises(InstanceSilent):
        await asking.bus.ask(asked.about.id, "tell", {"question": 1}, timeout=0.3)
    answer = await asking.bus.ask(asked.about.id, "tell", {"question": 2}, timeout=5)
    return int(answer["question"])


async def test_a_late_answer_answers_no_other_question(fleet: Fleet) -> None:
    assert await answered_after_a_late_answer(fleet) == 2


async def test_an_answer_without_its_questions_id_would_answer_another(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug: whatever answer comes is for whoever waits."""
    real = Bus.receive

    def receive(bus: Bus, data: bytes) -> None:
        message = msgspec.json.decode(data, type=Envelope)
        for question in list(bus._waiting)[:1] if message.answers else ():
            data = msgspec.json.encode(msgspec.structs.replace(message, answers=question))
        real(bus, data)

    monkeypatch.setattr(Bus, "receive", receive)
    assert await answered_after_a_late_answer(fleet) == 1


async def test_who_is_not_there_is_found_out_without_waiting(fleet: Fleet) -> None:
    asking, lost = await fleet.join(), await fleet.join()
    with pytest.raises(InstanceUnreachable):
        await asking.bus.ask("nobody:0", PING, timeout=30)
    kill(lost)

    async def unreachable() -> bool:
        [answer] = (await asking.bus.ask_all([lost.about.id], PING, timeout=0.5)).values()
        return isinstance(answer, InstanceUnreachable)

    await until(unreachable)


async def test_what_an_instance_cannot_do_it_refuses(fleet: Fleet) -> None:
    asking, asked = await fleet.join(), await fleet.join()

    async def broken(body: dict[str, Any]) -> dict[str, Any]:
        raise RuntimeError("the host db-7 said no")

    async def huge(body: dict[str, Any]) -> dict[str, Any]:
        return {"text": "x" * MOST_BYTES}

    asked.bus.answer("broken", broken)
    asked.bus.answer("huge", huge)
    for kind, why in (("nothing_of_the_kind", "know how"), ("broken", "RuntimeError"), ("huge", "too long")):
        with pytest.raises(InstanceRefused, match=why) as refused:
            await asking.bus.ask(asked.about.id, kind)
        assert "db-7" not in str(refused.value)
    assert "features" in await asking.bus.ask(asked.about.id, PING)


async def test_events_reach_everybody_or_a_role_and_a_broken_listener_stops_nobody(fleet: Fleet) -> None:
    members = [await fleet.join(role) for role in ("api", "worker", "worker")]
    heard: list[tuple[str, int]] = []

    def broken(body: dict[str, Any]) -> None:
        raise RuntimeError("a listener's own mistake")

    for one in members:
        one.bus.on("test.event", broken)
        one.bus.on("test.event", lambda body, name=one.about.name: heard.append((name, body["n"])))  # type: ignore[misc]
    assert await members[0].bus.tell(EVERYBODY, "test.event", {"n": 1}) == 3
    assert await members[0].bus.tell(role_address("worker"), "test.event", {"n": 2}) == 2

    async def all_heard() -> bool:
        return len(heard) == 5

    await until(all_heard)
    assert {name for name, n in heard if n == 2} == {one.about.name for one in members[1:]}


async def test_rubbish_deafens_nobody(fleet: Fleet, own_redis: OwnRedis) -> None:
    asking, asked = await fleet.join(), await fleet.join()
    redis = connect(own_redis.url, timeout=0.5)
    for rubbish in (b"", b"\xff\xfe", b"[]", b'{"id": 1}', b"{" * 5000, b"x" * (MOST_BYTES + 1)):
        await redis.publish(EVERYBODY.channel, rubbish)
    await redis.aclose()
    assert "features" in await asking.bus.ask(asked.about.id, PING)


async def test_without_redis_nobody_is_reached_and_after_it_everybody_again(
    fleet: Fleet, own_redis: OwnRedis
) -> None:
    asking, asked = await fleet.join(), await fleet.join()
    own_redis.stop()
    with pytest.raises(InstanceUnreachable):
        await asking.bus.ask(asked.about.id, PING)
    assert await asking.bus.tell(EVERYBODY, "test.event") == 0
    own_redis.start()

    async def again() -> bool:
        [answer] = (await asking.bus.ask_all([asked.about.id], PING)).values()
        return isinstance(answer, dict)

    await until(again)


async def test_an_instance_drains_and_comes_back(fleet: Fleet) -> None:
    asking, asked = await fleet.join(), await fleet.join("worker")
    answer = await asking.bus.ask(asked.about.id, DRAIN, {"reason": "a test"})
    assert answer["state"] == "draining"
    member = (await asking.registry.roll()).named(asked.about.name)
    assert member is not None
    assert member.condition.state == "draining"
    assert (await asking.bus.ask(asked.about.id, UNDRAIN, {}))["state"] == "ready"
    assert fleet.told == [True, False]  # what the worker was told to do about new work


async def test_diagnostics_show_places_and_no_values(fleet: Fleet) -> None:
    asking, asked = await fleet.join(), await fleet.join()
    secret = "the-secret-of-a-tenant"

    async def waits_with(value: str) -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(waits_with(secret), name="a task of the test")
    await asyncio.sleep(0)
    found = await asking.bus.ask(asked.about.id, DIAGNOSE)
    [shown] = [one for one in found["tasks"] if one["name"] == "a task of the test"]
    assert any("waits_with" in place for place in shown["stack"])
    assert any(thread["name"] == "MainThread" and thread["stack"] for thread in found["threads"])
    assert secret not in str(found)
    task.cancel()


async def test_another_log_level_holds_for_a_while(fleet: Fleet) -> None:
    asking, asked = await fleet.join(), await fleet.join()
    root, before = logging.getLogger(), logging.getLogger().level
    try:
        await asking.bus.ask(asked.about.id, LOG, {"level": "debug", "seconds": 0.5})
        assert root.level == logging.DEBUG

        async def over() -> bool:
            return root.level == logging.INFO

        await until(over)
        with pytest.raises(InstanceRefused):
            await asking.bus.ask(asked.about.id, LOG, {"level": "loud", "seconds": 5})
        assert await asking.bus.ask(asked.about.id, RELOAD) == {"confirmed": True, "revisions": {"main": 7}}
    finally:
        root.setLevel(before)
