"""How long a step may take and how often it is tried is configured, and followed while the fleet runs."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import httpx
import pytest

from erp.configured import configuration_of
from erp.fulfilment.keys import FIRST_PAUSE, STEP_TIMEOUTS
from erp.fulfilment.payment_client import HttpPayments
from erp.fulfilment.schemas import STEPS
from erp.settings import load_settings
from fleet.configuration.keys import InvalidValue
from fleet.configuration.snapshot import current
from tests.fulfilment.conftest import Shopfront
from tests.services import Services
from workers.sagas.fulfil_order import fulfil_order

Change = Callable[..., Awaitable[None]]


@pytest.fixture
async def change(operator: httpx.AsyncClient) -> AsyncIterator[Change]:
    """Sets keys of the system and waits until this process works with them; taken back at the end."""
    changed: set[str] = set()

    async def to(**values: Any) -> None:
        wanted = {f"fulfilment.{name.replace('__', '.')}": value for name, value in values.items()}
        changed.update(wanted)
        await put(operator, wanted)

    yield to
    await put(operator, dict.fromkeys(changed))


async def put(operator: httpx.AsyncClient, wanted: dict[str, Any]) -> None:
    settings = [{"key": key, "value": value} for key, value in wanted.items()]
    reply = await operator.post("/v1/configuration/changes", json={"settings": settings, "reason": "for a test"})
    assert reply.status_code == 200, reply.text
    revision = reply.json()["revision"]
    async with asyncio.timeout(5):
        while current().revision() < revision:
            await operator.get("/v1/configuration")


def configured(shopfront: Shopfront) -> HttpPayments:
    """The saga as the workers run it; its client would wait for a minute."""
    payments = HttpPayments(shopfront.provider.url, timeout=60.0)
    saga = fulfil_order(lambda: payments)
    shopfront.sagas = {saga.kind: saga}
    return payments


async def timed(shopfront: Shopfront, saga: str) -> tuple[str, float]:
    begun = time.monotonic()
    return await shopfront.run(saga), time.monotonic() - begun


async def test_a_step_takes_as_long_as_is_configured_at_that_moment(shopfront: Shopfront, change: Change) -> None:
    payments = configured(shopfront)
    await change(capture__timeout=0.3)
    saga = await shopfront.begin()
    shopfront.provider.tell("hang", operation="capture", payment=f"saga:{saga}", seconds=20, times=2)
    state, took = await timed(shopfront, saga)
    assert state == "running"
    assert took < 4
    # The same runner, the same saga: it waits longer from now on.
    await change(capture__timeout=1.5)
    state, longer = await timed(shopfront, saga)
    assert state == "running"
    assert 1.5 <= longer < 6
    assert await shopfront.until_ended(saga) == "completed"
    await payments.close()


async def test_how_often_and_how_long_it_is_tried_is_configured(shopfront: Shopfront, change: Change) -> None:
    payments = configured(shopfront)
    await change(capture__timeout=0.3, first_pause=60.0, longest_pause=60.0)
    saga = await shopfront.begin()
    shopfront.provider.tell("fail", operation="capture", payment=f"saga:{saga}", times=500)
    assert await shopfront.run(saga) == "running"
    assert await waits_for(shopfront, saga) > 25
    await change(first_pause=0.05, longest_pause=0.05)
    assert await shopfront.run(saga) == "running"
    assert await waits_for(shopfront, saga) < 1
    # An hour's patience is not over; then it is a second's, and two attempts are enough.
    await change(patience=1.0, min_attempts=2)
    begun = time.monotonic()
    while (state := await shopfront.run(saga)) == "running":
        assert time.monotonic() - begun < 20
    assert state == "needs_operator"
    await payments.close()


async def waits_for(shopfront: Shopfront, saga: str) -> float:
    """Seconds from its last attempt until the next."""
    view = await shopfront.view(saga)
    return (datetime.fromisoformat(view["retry_at"]) - datetime.now().astimezone()).total_seconds()


@pytest.mark.parametrize("value", [0, -1, 0.01, 31, "5", True])
async def test_nonsense_is_refused_and_changes_nothing(operator: httpx.AsyncClient, value: Any) -> None:
    before = current().get(STEP_TIMEOUTS["authorise"])
    setting = {"key": "fulfilment.authorise.timeout", "value": value}
    reply = await operator.post("/v1/configuration/changes", json={"settings": [setting], "reason": "for a test"})
    assert reply.status_code == 422, reply.text
    assert current().get(STEP_TIMEOUTS["authorise"]) == before


async def test_only_the_operator_decides_how_long_everybody_waits(shopfront: Shopfront) -> None:
    setting = {"key": FIRST_PAUSE.name, "value": 5.0}
    refused = await shopfront.tenant.post(
        "/v1/configuration/changes", {"settings": [setting], "reason": "we are in a hurry"}, 403
    )
    assert refused["code"] == "system-configuration-key"


def test_the_environment_is_the_default_of_what_the_provider_is_given(services: Services) -> None:
    settings = load_settings(services.environment("x", "worker") | {"ERP_PAYMENTS_TIMEOUT": "7.5"})
    configuration = configuration_of(settings)
    found = {name: configuration.get(STEP_TIMEOUTS[name]) for name in STEPS}
    assert (found["authorise"], found["capture"]) == (7.5, 7.5)
    assert {found[name] for name in ("reserve", "deliver", "invoice")} == {60.0}
    with pytest.raises(InvalidValue):
        configuration_of(replace(settings, payments_timeout=31.0))


async def test_a_step_of_ours_that_takes_too_long_is_tried_again(shopfront: Shopfront, change: Change) -> None:
    """Somebody holds the order's row: the delivery gives up in time, and goes on when the row is free."""
    payments = configured(shopfront)
    await change(deliver__timeout=0.5)
    saga = await shopfront.begin()

    def stop(name: str) -> None:
        if name == "deliver:before":
            raise KeyError

    with pytest.raises(KeyError):
        await shopfront.run(saga, stop)
    order = (await shopfront.view(saga))["order_id"]
    async with shopfront.holding("sales_orders", order):
        state, took = await timed(shopfront, saga)
    assert state == "running"
    assert took < 4
    assert await shopfront.until_ended(saga) == "completed"
    await payments.close()
