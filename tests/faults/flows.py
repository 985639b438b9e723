"""Flows of several steps that somebody outside, or a death in the middle, breaks: sagas and two-phase commit."""

import asyncio
import json
import random
import signal
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import httpx

from deploy.local.processes import Program, start
from tests.api.whole.conftest import Tenant
from tests.faults.invariants import SETTLED_WITHIN, settled
from tests.faults.scenario import Scenario
from tests.faults.stage import Stage, until
from tests.faults.verdict import Check, at_most, none_of
from tests.fleet.storm import open_shop
from tests.fleet.traders import Shop
from tests.two_phase.trading import Pair, make_pair

ROOT = Path(__file__).parents[2]
_ENDED = ("completed", "compensated", "needs_operator")
_SAGAS = 12
#: What the provider does wrong, once for each saga in turn.
_MISDEEDS: tuple[dict[str, Any], ...] = (
    {"mode": "fail"}, {"mode": "fail_after"}, {"mode": "decline"}, {"mode": "hang", "seconds": 8},
    {"mode": "late", "seconds": 2}, {"mode": "late_effect", "seconds": 7}, {"mode": "twice"}, {"mode": "drop"},
)  # fmt: skip
_OPERATIONS = ("authorise", "capture")
#: Where a seller's process dies -> whether the sale has happened when all is over.
_EDGES = {
    "begun": False, "prepared:0": False, "prepared:1": False, "decided": True, "committed:0": True,
    "committed:1": True,
}  # fmt: skip


async def provider_fails(stage: Stage) -> list[Check]:
    draw = random.Random(f"{stage.seed}:provider")
    shop = await open_shop(stage.fleet)
    async with provider_of(stage) as provider, stage.fleet.async_client(shop.token) as client:
        misdeeds = [*_MISDEEDS, *_MISDEEDS[: _SAGAS - len(_MISDEEDS)]]
        sagas = []
        for misdeed in misdeeds:
            saga = await begin(client, shop)
            told = {**misdeed, "operation": draw.choice(_OPERATIONS), "payment": f"saga:{saga}"}
            (await provider.post("/v1/faults", json=told)).raise_for_status()
            sagas.append(saga)
        return await all_end(stage, shop, client, provider, sagas)


async def saga_workers_die(stage: Stage) -> list[Check]:
    """At moments drawn from the seed, while the provider takes its time."""
    draw = random.Random(f"{stage.seed}:sagas")
    shop = await open_shop(stage.fleet)
    async with provider_of(stage) as provider, stage.fleet.async_client(shop.token) as client:
        slow = {"mode": "late", "seconds": 0.4, "times": 2 * _SAGAS}
        (await provider.post("/v1/faults", json=slow)).raise_for_status()
        sagas = [await begin(client, shop) for _ in range(_SAGAS)]
        for _ in range(3):
            await asyncio.sleep(draw.uniform(0.3, 1.5))
            for queue in ("high", "default", "low"):
                stage.kill(f"worker-{queue}")
            await stage.whole()
        return await all_end(stage, shop, client, provider, sagas)


def provider_of(stage: Stage) -> httpx.AsyncClient:
    """A client of the sandbox, to tell it what to do wrong and to ask for its books."""
    port = stage.fleet.options.ports["payments"]
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10)


async def begin(client: httpx.AsyncClient, shop: Shop) -> str:
    """A new order's saga; its id."""
    line = {"product_id": shop.products[0], "quantity": "1"}
    order = await _post(client, "/v1/sales-orders", {"party_id": shop.customer, "lines": [line]})
    begun = await _post(client, "/v1/fulfilments", {"order_id": order["id"], "payment_source": "card_4242"})
    return str(begun["id"])


async def _post(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> Any:
    reply = await client.post(path, json=body, headers={"Idempotency-Key": uuid.uuid4().hex})
    assert reply.is_success, reply.text
    return reply.json()


async def all_end(
    stage: Stage, shop: Shop, client: httpx.AsyncClient, provider: httpx.AsyncClient, sagas: list[str]
) -> list[Check]:
    """Waits for the sagas, and compares the books of the money with the provider's."""
    begun, open_ones = time.monotonic(), set(sagas)
    found: dict[str, str] = {}
    while open_ones and time.monotonic() - begun < SETTLED_WITHIN:
        for saga in sorted(open_ones):
            found[saga] = (await client.get(f"/v1/fulfilments/{saga}")).json().get("state", "unreadable")
        open_ones = {saga for saga in open_ones if found[saga] not in _ENDED}
        await asyncio.sleep(0.2)
    took = time.monotonic() - begun
    (await provider.delete("/v1/faults")).raise_for_status()
    states = sorted(found.values())
    said = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
    operations = (await provider.get("/v1/operations", params={"account": shop.id})).json()
    accepted = [(one["payment"], one["operation"]) for one in operations if one["accepted"]]
    money = (await client.get("/v1/payment-reconciliation", params={"limit": "200"})).json()
    proof = (await client.get("/v1/proof")).json()
    return [
        at_most(f"ended ({said}) after", took, SETTLED_WITHIN),
        none_of("not ended", sorted(open_ones)),
        none_of("left to the operator", [saga for saga, state in found.items() if state == "needs_operator"]),
        none_of("money moved twice", [one for one in sorted(set(accepted)) if accepted.count(one) > 1]),
        Check("our books and the provider's agree", str(money.get("agrees")), "True", money.get("agrees") is True),
        none_of("broken proofs", [check["name"] for check in proof["checks"] if not check["holds"]]),
        *await settled(stage, [shop]),
    ]


async def two_phase_coordinators_die(stage: Stage) -> list[Check]:
    """A process that sells to a tenant of another database is killed at every edge of the protocol."""
    tenants: list[Tenant] = []

    async def newcomer(**fields: Any) -> Tenant:
        tenants.append(await _tenant(stage, **fields))
        return tenants[-1]

    pairs = [await make_pair(newcomer) for _ in _EDGES]
    killed = await _die(stage, pairs)
    with stage.database() as session:
        sql = "SELECT count(*) FROM pg_prepared_xacts"
        left = session.execute(sql).fetchone()
        try:
            took = await until(lambda: session.execute(sql).fetchone() == (0,), SETTLED_WITHIN, "nothing is in doubt")
        except TimeoutError:
            took = SETTLED_WITHIN + 1
    counted = [set((await pair.counts()).values()) for pair in pairs]
    apart = [edge for edge, found in zip(_EDGES, counted, strict=True) if found != {int(_EDGES[edge])}]
    for tenant in tenants:
        await tenant.client.aclose()
    return [
        Check("sellers killed", str(killed), str(len(_EDGES)), killed == len(_EDGES)),
        at_most(f"in doubt ({left[0] if left else '?'} prepared) for", took, SETTLED_WITHIN),
        none_of("halves that differ", apart),
        *await settled(stage, []),
    ]


async def _tenant(stage: Stage, **fields: Any) -> Tenant:
    slug = f"chaos-{uuid.uuid4().hex[:10]}"
    body = {"slug": slug, "name": "Chaos", "base_currency": "GBP", "country": "GB", "time_zone": "Europe/London"}
    async with stage.fleet.async_client(stage.fleet.endpoints.operator_key) as operator:
        made = await _post(operator, "/v1/tenants", body | fields)
    key = made["owner_key"]["secret"]
    return Tenant(made["tenant"]["id"], slug, key, stage.fleet.async_client(key))


async def _die(stage: Stage, pairs: list[Pair]) -> int:
    """How many sellers were killed where they were told to die."""
    told = [(pair.seller.key, json.dumps(pair.sale()), edge) for pair, edge in zip(pairs, _EDGES, strict=True)]
    with tempfile.TemporaryDirectory(prefix="erp-chaos-") as folder:
        log = Path(folder) / "sellers.log"
        environment = stage.fleet.endpoints.environment("dying.seller", "api")
        command = (sys.executable, "-m", "tests.two_phase.dying_seller", json.dumps(told))
        running = start(Program("sellers", command, log, ROOT, environment))
        await asyncio.to_thread(running.process.wait, 90)
        ended = log.read_text().rpartition("ended: ")[2]
    return ended.count(str(-signal.SIGKILL.value))


SCENARIOS = (
    Scenario(
        "provider-failing", "the payment provider fails, declines, hangs, answers late or twice, breaks off",
        "every saga ends within 60 s; money in = money out", provider_fails,
    ),
    Scenario(
        "saga-runner-killed", "kill -9 of all workers in the middle of sagas, three times",
        "every saga ends within 60 s, no money moves twice", saga_workers_die,
    ),
    Scenario(
        "two-phase-killed", "kill -9 of the two-phase coordinator at each of six edges",
        "decided within 60 s, both halves alike", two_phase_coordinators_die,
    ),
)  # fmt: skip
