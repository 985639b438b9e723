"""A saga that stopped: who decides, what they can decide, and that nobody else writes meanwhile."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from erp.fulfilment import recording
from tests.fulfilment.conftest import GROSS, Shopfront
from workers.sagas.definition import Patience


def impatient(shopfront: Shopfront) -> None:
    [(kind, saga)] = shopfront.sagas.items()
    at_once = Patience(0.0, 0.0, 0.0, attempts=0)
    shopfront.sagas = {kind: replace(saga, forward=lambda: at_once, back=lambda: at_once)}


async def stopped(shopfront: Shopfront, operation: str, mode: str = "drop") -> str:
    """It was asked for, and nobody can say what became of it for longer than anybody waits."""
    patient, saga = shopfront.sagas, await shopfront.begin()
    shopfront.provider.tell(mode, operation=operation, payment=f"saga:{saga}", times=2)
    shopfront.provider.tell("fail", looking=True, times=100)
    assert await shopfront.run(saga) == "running"
    impatient(shopfront)
    assert await shopfront.run(saga) == "needs_operator"
    shopfront.sagas = patient
    shopfront.provider.behave()
    return saga


async def decide(shopfront: Shopfront, saga: str, what: str, expect: int = 200) -> Any:
    return await shopfront.tenant.post(f"/v1/fulfilments/{saga}/{what}", {"reason": "looked into"}, expect)


async def test_people_are_told_and_nothing_goes_on_by_itself(shopfront: Shopfront) -> None:
    saga = await stopped(shopfront, "capture")
    [notice] = [
        one for one in (await shopfront.tenant.get("/v1/notices"))["data"] if one["kind"] == "saga_needs_operator"
    ]
    assert (notice["subject_id"], notice["data"]["step"]) == (saga, "capture")
    assert await shopfront.run(saga) == "needs_operator"
    listed = await shopfront.tenant.get("/v1/fulfilments", state="needs_operator")
    assert [one["id"] for one in listed["data"]] == [saga]
    assert (await decide(shopfront, saga, "retry"))["state"] == "running"


async def test_retry_goes_on_where_it_was(shopfront: Shopfront) -> None:
    saga = await stopped(shopfront, "capture")
    await decide(shopfront, saga, "retry")
    assert await shopfront.until_ended(saga) == "completed"
    assert shopfront.kept(saga) == GROSS
    assert (await decide(shopfront, saga, "retry", 409))["code"] == "invalid-state"
    await shopfront.agrees()


@pytest.mark.parametrize("mode", ["drop", "hang"], ids=["it happened", "it did not"])
async def test_compensate_takes_back_what_may_have_happened(shopfront: Shopfront, mode: str) -> None:
    saga = await stopped(shopfront, "capture", mode)
    await decide(shopfront, saga, "compensate")
    assert await shopfront.until_ended(saga) == "compensated"
    assert shopfront.kept(saga) == 0
    step = next(one for one in (await shopfront.view(saga))["steps"] if one["name"] == "capture")
    assert step["state"] == "undone"


async def test_skip_leaves_a_step_to_people(shopfront: Shopfront) -> None:
    saga = await stopped(shopfront, "authorise", "fail")
    await decide(shopfront, saga, "skip")
    assert await shopfront.until_ended(saga) == "completed"
    states = await shopfront.states(saga)
    assert (states["authorise"], states["capture"], states["invoice"]) == ("skipped", "done", "done")
    order = await shopfront.tenant.get(f"/v1/sales-orders/{(await shopfront.view(saga))['order_id']}")
    assert (order["invoice_state"], order["payment_state"]) == ("invoiced", "unpaid")
    await shopfront.agrees()


async def test_a_decision_cuts_off_a_runner_that_still_believes_in_itself(shopfront: Shopfront) -> None:
    saga, cut = await shopfront.begin(), False

    async def outdated(command: Any) -> Any:
        return await shopfront.transact(command)

    def edge(name: str) -> None:
        nonlocal cut
        if name == "authorise:answered" and not cut:
            cut = True
            raise KeyError

    with pytest.raises(KeyError):
        await shopfront.run(saga, edge)
    held: list[Any] = []

    async def remember(work: Any) -> None:
        held.append(await recording.read(work, recording_id(saga)))

    await shopfront.transact(remember)
    assert await shopfront.until_ended(saga) == "completed"
    before = await shopfront.view(saga)

    async def late(work: Any) -> None:
        await recording.save(work, held[0], held[0].run._replace(state="compensating", direction="back"), "late")

    with pytest.raises(recording.TakenOver):
        await outdated(late)
    assert await shopfront.view(saga) == before


def recording_id(saga: str) -> Any:
    return UUID(saga)


async def test_several_runners_of_one_saga_have_one_effect(shopfront: Shopfront) -> None:
    sagas = [await shopfront.begin() for _ in range(3)]

    async def once(saga: str) -> str:
        try:
            return await shopfront.run(saga)
        except recording.TakenOver:
            return "taken over"

    for saga in sagas:
        found = await asyncio.gather(*(once(saga) for _ in range(4)))
        assert set(found) <= {"completed", "taken over"}
        assert await shopfront.until_ended(saga) == "completed"
        assert [name for name, _, _ in shopfront.asked(saga)] == ["authorise", "capture"]
        assert shopfront.kept(saga) == GROSS
        assert await shopfront.documents(saga) == {"deliveries": 1, "returns": 0, "invoices": 1}
    await shopfront.agrees()


async def test_without_the_fence_a_late_runner_would_write(
    shopfront: Shopfront, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug: the lock alone does not tell an old runner from the present one."""

    async def only_locked(work: Any, state: Any) -> None:
        await recording.read(work, state.run.id)

    monkeypatch.setattr(recording, "held", only_locked)
    saga = await shopfront.begin()
    held: list[Any] = []

    async def remember(work: Any) -> None:
        held.append(await recording.read(work, recording_id(saga)))

    await shopfront.transact(remember)
    assert await shopfront.run(saga) == "completed"

    async def late(work: Any) -> None:
        await recording.save(work, held[0], held[0].run, "late")

    # The fence is looked at a second time, where the write lands.
    with pytest.raises(recording.TakenOver):
        await shopfront.transact(late)
