"""How long anybody waits for a silent provider: as long as the request allows; then nobody asks for a while."""

import signal
import time

import pytest

from erp.fulfilment import payment_client
from erp.fulfilment import provider as process_provider
from erp.fulfilment.errors import PaymentsUnavailable
from erp.fulfilment.payment_client import HttpPayments
from fleet.breaker import Breaker, CircuitOpen, RetryBudget
from fleet.deadline import Deadline
from tests.fulfilment.conftest import Shopfront


async def test_a_request_waits_no_longer_than_it_says(shopfront: Shopfront) -> None:
    patient = HttpPayments(shopfront.provider.url, timeout=20.0, breaker=Breaker("patient"))
    process_provider.use(patient)
    shopfront.provider.running.process.send_signal(signal.SIGSTOP)  # takes connections, answers none
    try:
        begun = time.monotonic()
        reply = await shopfront.tenant.client.get("/v1/payment-reconciliation", headers={"Request-Timeout": "0.3"})
        took = time.monotonic() - begun
    finally:
        shopfront.provider.running.process.send_signal(signal.SIGCONT)
    assert reply.status_code == 503
    assert reply.json()["code"] in ("payments-not-awaited", "deadline-exceeded")
    assert took < 3, took
    await patient.close()


async def in_a_hurry(shopfront: Shopfront, payments: HttpPayments) -> str:
    """Twelve requests that do not wait as long as the provider takes; the code of the last refusal."""
    process_provider.use(payments)
    shopfront.provider.running.process.send_signal(signal.SIGSTOP)
    try:
        for _ in range(12):
            reply = await shopfront.tenant.client.get(
                "/v1/payment-reconciliation", headers={"Request-Timeout": "0.2"}
            )
            assert reply.status_code == 503
    finally:
        shopfront.provider.running.process.send_signal(signal.SIGCONT)
    return str(reply.json()["code"])


async def test_callers_in_a_hurry_do_not_close_the_provider_to_the_others(shopfront: Shopfront) -> None:
    payments = HttpPayments(shopfront.provider.url, timeout=20.0, breaker=Breaker("hurried", failures=5))
    assert await in_a_hurry(shopfront, payments) in ("payments-not-awaited", "deadline-exceeded")
    await shopfront.agrees()
    await payments.close()


async def test_planted_a_hurry_taken_for_a_silence_closes_it_to_everybody(
    shopfront: Shopfront, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payment_client, "_cut_short", lambda error, seconds, allowed: False)
    payments = HttpPayments(shopfront.provider.url, timeout=20.0, breaker=Breaker("closed to all", failures=5))
    assert await in_a_hurry(shopfront, payments) == "circuit-open"
    refused = await shopfront.tenant.get("/v1/payment-reconciliation", 503)
    assert refused["code"] == "circuit-open"
    await payments.close()


async def test_a_silence_as_long_as_a_call_may_take_is_the_providers(shopfront: Shopfront) -> None:
    """Whatever the request would still have waited: this one has ample time, the call is given 0.2 s."""
    breaker = Breaker("patient", failures=2)
    payments = HttpPayments(shopfront.provider.url, timeout=0.2, breaker=breaker)
    shopfront.provider.tell("hang", looking=True, times=100, seconds=5)
    with Deadline(10), pytest.raises((PaymentsUnavailable, CircuitOpen)):
        await payments.look_up("nothing")
    assert str(breaker.state) == "open"
    shopfront.provider.behave()
    await payments.close()


@pytest.mark.parametrize("text", ["0", "31", "soon", "1e1"])
async def test_a_request_says_it_in_seconds(shopfront: Shopfront, text: str) -> None:
    reply = await shopfront.tenant.client.get("/v1/products", headers={"Request-Timeout": text})
    assert (reply.status_code, reply.json()["code"]) == (400, "bad-request")


async def test_a_silent_provider_is_not_asked_and_asked_again_once_it_speaks(shopfront: Shopfront) -> None:
    breaker = Breaker("silent", failures=3, open_for=0.2)
    payments = HttpPayments(shopfront.provider.url, timeout=0.1, breaker=breaker)
    shopfront.provider.tell("hang", looking=True, times=1_000, seconds=5)
    for _ in range(3):
        with pytest.raises((PaymentsUnavailable, CircuitOpen)):
            await payments.look_up("nothing")
    begun = time.monotonic()
    refused = 0
    for _ in range(50):
        try:
            await payments.look_up("nothing")
        except CircuitOpen:
            refused += 1
        except PaymentsUnavailable:
            pass  # a probe
    assert refused >= 45
    assert time.monotonic() - begun < 2
    shopfront.provider.behave()
    healed = time.monotonic()
    while str(breaker.state) != "closed":
        try:
            assert await payments.look_up("nothing") is None
        except (CircuitOpen, PaymentsUnavailable):
            assert time.monotonic() - healed < 20
    await payments.close()


@pytest.mark.parametrize("mode", ["fail", "hang"])
async def test_look_ups_are_repeated_until_the_budget_is_spent(shopfront: Shopfront, mode: str) -> None:
    """25 look-ups of a provider that is down are 25 calls and at most 12 more: 10 saved up, one for ten."""
    payments = HttpPayments(shopfront.provider.url, timeout=0.1, breaker=Breaker("budget", failures=10_000))
    await down_for(shopfront, payments, mode, 25, 37)
    # Spent: a look-up is one call from now on, though the fault lasts for exactly one.
    shopfront.provider.behave()
    shopfront.provider.tell(mode, looking=True, times=1, seconds=1)
    with pytest.raises(PaymentsUnavailable):
        await payments.look_up("nothing")
    assert await payments.look_up("nothing") is None
    await payments.close()


async def test_planted_a_budget_nobody_spends_multiplies_an_outage(
    shopfront: Shopfront, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RetryBudget, "spend", lambda self: True)
    payments = HttpPayments(shopfront.provider.url, timeout=0.1, breaker=Breaker("spendthrift", failures=10_000))
    with pytest.raises(pytest.fail.Exception):
        await down_for(shopfront, payments, "fail", 25, 37)
    await payments.close()


async def down_for(shopfront: Shopfront, payments: HttpPayments, mode: str, look_ups: int, calls: int) -> None:
    """So many look-ups while the provider is down for so many calls: it must not be well before they are over."""
    shopfront.provider.tell(mode, looking=True, times=calls, seconds=1)
    for _ in range(look_ups):
        with pytest.raises(PaymentsUnavailable):
            await payments.look_up("nothing")
