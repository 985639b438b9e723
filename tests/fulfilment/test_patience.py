"""How long anybody waits for a silent provider: as long as the request allows; then nobody asks for a while."""

import time

import pytest

from erp.fulfilment import provider as process_provider
from erp.fulfilment.errors import PaymentsUnavailable
from erp.fulfilment.payment_client import HttpPayments
from fleet.breaker import Breaker, CircuitOpen
from tests.fulfilment.conftest import Shopfront


async def test_a_request_waits_no_longer_than_it_says(shopfront: Shopfront) -> None:
    patient = HttpPayments(shopfront.provider.url, timeout=20.0, breaker=Breaker("patient"))
    process_provider.use(patient)
    shopfront.provider.running.process.send_signal(19)  # SIGSTOP: connections are taken, nothing is answered
    try:
        begun = time.monotonic()
        reply = await shopfront.tenant.client.get("/v1/payment-reconciliation", headers={"Request-Timeout": "0.3"})
        took = time.monotonic() - begun
    finally:
        shopfront.provider.running.process.send_signal(18)
    assert reply.status_code == 503
    assert reply.json()["code"] in ("payments-unavailable", "deadline-exceeded")
    assert took < 3, took
    await patient.close()


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
