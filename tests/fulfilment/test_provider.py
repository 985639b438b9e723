"""A provider that hangs, answers late, twice, not at all or wrongly: what happened is found out, never guessed."""

import asyncio
from dataclasses import replace

import pytest

from tests.fulfilment.conftest import GROSS, Shopfront
from workers.sagas.definition import Facts, Outcome, Outside
from workers.sagas.runner import SagaRunner


@pytest.mark.parametrize("operation", ["authorise", "capture"])
@pytest.mark.parametrize("mode", ["fail", "fail_after", "hang", "late", "late_effect", "twice", "drop"])
async def test_one_effect_and_one_only_whatever_the_answer(shopfront: Shopfront, operation: str, mode: str) -> None:
    saga = await shopfront.begin()
    shopfront.provider.tell(mode, operation=operation, payment=f"saga:{saga}", seconds=0.9)
    assert await shopfront.until_ended(saga) == "completed"
    if mode == "late_effect":
        # The first request arrives long after its repetition was answered.
        await asyncio.to_thread(shopfront.provider.until_repeated, shopfront.tenant.id, f"saga:{saga}", operation)
    assert [name for name, _, _ in shopfront.asked(saga)] == ["authorise", "capture"]
    assert shopfront.kept(saga) == GROSS
    await shopfront.agrees()


async def test_an_answer_that_got_lost_is_looked_up_not_asked_for_again(shopfront: Shopfront) -> None:
    saga = await shopfront.begin()
    shopfront.provider.tell("drop", operation="capture", payment=f"saga:{saga}")
    assert await shopfront.run(saga) == "completed"
    assert shopfront.asked(saga) == [("authorise", True, 1), ("capture", True, 1)]


async def test_an_answer_sent_twice_is_not_taken_for_the_next_one(shopfront: Shopfront) -> None:
    first, second = await shopfront.begin(), await shopfront.begin()
    for saga in (first, second):
        shopfront.provider.tell("twice", operation="authorise", payment=f"saga:{saga}", times=2)
    assert await shopfront.until_ended(first) == "completed"
    assert await shopfront.until_ended(second) == "completed"
    await shopfront.agrees()


async def test_while_it_is_not_known_nothing_is_decided(shopfront: Shopfront) -> None:
    """It captured, said nothing, and cannot be asked either: the saga waits, it neither repeats nor gives back."""
    saga = await shopfront.begin()
    shopfront.provider.tell("drop", operation="capture", payment=f"saga:{saga}")
    shopfront.provider.tell("fail", looking=True, times=50)
    assert await shopfront.run(saga) == "running"
    states = await shopfront.states(saga)
    assert (states["capture"], states["deliver"]) == ("intended", "planned")
    view = await shopfront.view(saga)
    assert view["error"]["code"] == "payments-unavailable"
    assert view["retry_at"] is not None
    assert shopfront.kept(saga) == GROSS
    page = await shopfront.tenant.get("/v1/payment-reconciliation")
    assert [one["state"] for one in page["data"]] == ["pending"]
    shopfront.provider.behave()
    assert await shopfront.until_ended(saga) == "completed"
    await shopfront.agrees()


async def test_taking_back_goes_on_until_it_succeeds(shopfront: Shopfront) -> None:
    """Ten times the refund fails, in every way there is; then it happens, once."""
    saga = await doomed(shopfront)
    for mode in ("fail", "hang", "fail", "drop_looked", "fail"):
        if mode != "drop_looked":
            shopfront.provider.tell(mode, operation="refund", payment=f"saga:{saga}", seconds=0.6, times=2)
    states = []
    for _ in range(12):
        states.append(await shopfront.run(saga))
        if states[-1] == "compensated":
            break
    assert states[:8] == ["compensating"] * 8
    assert states[-1] == "compensated"
    assert [name for name, accepted, _ in shopfront.asked(saga) if accepted][2:] == ["refund", "void"]
    step = next(one for one in (await shopfront.view(saga))["steps"] if one["name"] == "capture")
    assert (step["undo_attempts"], step["undo_result"]) == (9, {"amount": "20.00"})
    assert shopfront.kept(saga) == 0
    await shopfront.agrees()


async def doomed(shopfront: Shopfront) -> str:
    """Paid for; its goods are cancelled, so that all of it has to be taken back."""

    def stop(name: str) -> None:
        if name == "capture:recorded":
            raise KeyError

    saga = await shopfront.begin()
    with pytest.raises(KeyError):
        await shopfront.run(saga, stop)
    order_id = (await shopfront.view(saga))["order_id"]
    await shopfront.tenant.post(f"/v1/sales-orders/{order_id}/cancel", {"reason": "changed mind"})
    return saga


# -- the same checks find what they are there for ------------------------------------------------------------


def broken(shopfront: Shopfront, **changes: Outside) -> None:
    [(kind, saga)] = shopfront.sagas.items()
    steps = tuple(changes.get(step.name, step) for step in saga.steps)
    shopfront.sagas = {kind: replace(saga, steps=steps)}


def payment(shopfront: Shopfront, name: str) -> Outside:
    [saga] = shopfront.sagas.values()
    step = saga.step(name)
    assert isinstance(step, Outside)
    return step


async def test_planted_a_timeout_read_as_a_refusal_keeps_money_for_nothing(shopfront: Shopfront) -> None:
    step = payment(shopfront, "capture")

    async def guess(key: str, request: Facts) -> Outcome:
        try:
            return await step.ask(key, request)
        except Exception:
            return Outcome(False, {}, "timed-out")

    broken(shopfront, capture=replace(step, ask=guess))
    saga = await shopfront.begin()
    shopfront.provider.tell("late", operation="capture", payment=f"saga:{saga}", seconds=0.9)
    # The provider itself is the second line: it does not void what it has captured.
    assert await shopfront.run(saga) == "needs_operator"
    assert (await shopfront.view(saga))["error"]["code"] == "payment-captured"
    with pytest.raises(AssertionError):
        assert shopfront.kept(saga) == 0


async def test_planted_a_new_key_for_every_attempt_is_found(shopfront: Shopfront) -> None:
    step, asked = payment(shopfront, "authorise"), 0

    async def forgetful(key: str, request: Facts) -> Outcome:
        nonlocal asked
        asked += 1
        return await step.ask(f"{key}:{asked}", {**request, "payment": f"{request['payment']}:{asked}"})

    broken(shopfront, authorise=replace(step, ask=forgetful))
    saga = await shopfront.begin()
    shopfront.provider.tell("drop", operation="authorise")
    await shopfront.until_ended(saga)
    names = [one["operation"] for one in shopfront.provider.operations(shopfront.tenant.id)]
    assert names.count("authorise") == 2, "the plant did not bite"
    with pytest.raises(AssertionError):
        assert [name for name, _, _ in shopfront.asked(saga)] == ["authorise", "capture"]


async def test_planted_a_compensation_that_is_left_out_is_found(
    shopfront: Shopfront, monkeypatch: pytest.MonkeyPatch
) -> None:
    saga = await doomed(shopfront)
    monkeypatch.setattr(SagaRunner, "_take_back", skipping)
    assert await shopfront.until_ended(saga) == "compensated"
    with pytest.raises(AssertionError):
        assert shopfront.kept(saga) == 0
    with pytest.raises(AssertionError):
        await shopfront.agrees()


async def skipping(self: SagaRunner, state, current, step):  # type: ignore[no-untyped-def]  # a planted bug
    return await self._transact(lambda work: self._undone(work, state, current, {}))
