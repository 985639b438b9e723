"""Many at once before one provider: refusals are answers, and when it may be asked again one of them finds out."""

import asyncio
import uuid
from typing import Any

import pytest

from erp.fulfilment.errors import PaymentsUnavailable
from erp.fulfilment.payment_client import HttpPayments
from erp.fulfilment.port import PaymentAnswer, PaymentRequest
from fleet.breaker import Breaker, CircuitOpen
from tests.fulfilment.conftest import Shopfront
from tests.fulfilment.provider import Provider

AT_ONCE = 30


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def authorise(account: str) -> PaymentRequest:
    return PaymentRequest(
        operation="authorise", account=account, payment=f"rivals:{uuid.uuid4()}", amount="1.00", currency="GBP",
        source="card_4242",
    )  # fmt: skip


async def all_declined(payments: HttpPayments, provider: Provider) -> list[PaymentAnswer | BaseException]:
    """What thirty customers are told whose cards are declined, all at once."""
    account = str(uuid.uuid4())
    provider.tell("decline", times=AT_ONCE)
    asked = (payments.perform(uuid.uuid4().hex, authorise(account)) for _ in range(AT_ONCE))
    found = await asyncio.gather(*asked, return_exceptions=True)
    provider.behave()
    return found


async def test_thirty_declined_cards_do_not_close_the_till(shopfront: Shopfront) -> None:
    breaker = Breaker("declining", failures=5)
    payments = HttpPayments(shopfront.provider.url, timeout=10.0, breaker=breaker)
    found = await all_declined(payments, shopfront.provider)
    assert [one.accepted for one in found if isinstance(one, PaymentAnswer)] == [False] * AT_ONCE
    assert (await payments.perform(uuid.uuid4().hex, authorise("somebody-else"))).accepted
    assert breaker.state == "closed"
    await payments.close()


class Touchy(HttpPayments):
    """The planted bug: whatever is no success counts as a failure of the provider."""

    async def _ask(self, method: str, path: str, allowed: float | None, **options: Any) -> tuple[int, bytes]:
        status, content = await super()._ask(method, path, allowed, **options)
        if status >= 400:
            raise PaymentsUnavailable(f"The provider answered {status}.")
        return status, content


async def test_planted_a_refusal_counted_as_a_failure_closes_it_to_a_good_card(shopfront: Shopfront) -> None:
    payments = Touchy(shopfront.provider.url, timeout=10.0, breaker=Breaker("touchy", failures=5))
    await all_declined(payments, shopfront.provider)
    with pytest.raises(CircuitOpen):
        await payments.perform(uuid.uuid4().hex, authorise("somebody-else"))
    await payments.close()


async def outcomes_at_half_open(shopfront: Shopfront, breaker: Breaker, clock: Clock) -> list[str]:
    """Thirty look-ups at the moment the provider may be asked again; it takes the first of them and is silent."""
    payments = HttpPayments(shopfront.provider.url, timeout=0.5, breaker=breaker)
    shopfront.provider.tell("fail", looking=True, times=100)
    for _ in range(5):
        with pytest.raises((PaymentsUnavailable, CircuitOpen)):
            await payments.look_up("nothing")
    shopfront.provider.behave()
    shopfront.provider.tell("hang", looking=True, times=1, seconds=2)
    clock.now += 11
    asked = (payments.look_up("nothing") for _ in range(AT_ONCE))
    found = await asyncio.gather(*asked, return_exceptions=True)
    await payments.close()
    return [type(one).__name__ for one in found]


async def test_when_it_may_be_asked_again_one_of_thirty_asks(shopfront: Shopfront) -> None:
    clock = Clock()
    breaker = Breaker("one probe", failures=5, open_for=10.0, clock=clock)
    found = await outcomes_at_half_open(shopfront, breaker, clock)
    assert found.count("CircuitOpen") >= AT_ONCE - 1
    assert set(found) <= {"CircuitOpen", "PaymentsUnavailable"}
    assert breaker.state == "open"


class Crowded(Breaker):
    """The planted bug: half open is as good as closed."""

    def admits(self) -> bool:
        return self.state != "open"


async def test_planted_half_open_lets_everybody_through(shopfront: Shopfront) -> None:
    clock = Clock()
    found = await outcomes_at_half_open(shopfront, Crowded("crowd", failures=5, open_for=10.0, clock=clock), clock)
    assert found.count("NoneType") >= AT_ONCE - 1
    with pytest.raises(AssertionError):
        assert found.count("CircuitOpen") >= AT_ONCE - 1
