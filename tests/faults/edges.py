"""Every edge of a saga, forward and back: a real worker is killed there once, and the fleet's workers go on."""

import asyncio
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import msgspec

from deploy.local.processes import Program, start
from tests.faults.dying_worker import Death, Meanwhile
from tests.faults.flows import all_end, begin, provider_of
from tests.faults.scenario import Scenario
from tests.faults.stage import Stage
from tests.faults.verdict import Check, none_of
from tests.fleet.storm import open_shop
from tests.fleet.traders import Shop
from tests.fulfilment.test_crashes import BACK_EDGES, DELIVERED_BACK_EDGES, FORWARD_EDGES

ROOT = Path(__file__).parents[2]
_JOB = "SELECT id FROM jobs WHERE tenant_id = %s AND kind = 'saga' AND payload->>'saga_id' = %s"
_ACCEPTED = {"completed": ["authorise", "capture"], "compensated": ["authorise", "capture", "refund", "void"]}
_EDGES = [*FORWARD_EDGES, *BACK_EDGES, *DELIVERED_BACK_EDGES]


async def workers_die_at_every_edge(stage: Stage) -> list[Check]:
    """The fleet's own worker of the queue stands still meanwhile, so that the dying ones get the jobs."""
    shop = await open_shop(stage.fleet)
    async with provider_of(stage) as provider, stage.fleet.async_client(shop.token) as client:
        with stage.frozen("worker-high"):
            sagas = [await begin(client, shop) for _ in _EDGES]
            deaths = [await _death(stage, shop, client, *one) for one in zip(sagas, _EDGES, strict=True)]
            killed = await _die(stage, deaths)
        checks = await all_end(stage, shop, client, provider, sagas)
        checks += await _as_told(shop, client, provider, dict(zip(sagas, _EDGES, strict=True)))
    return [Check("workers killed at their edge", str(killed), str(len(_EDGES)), killed == len(_EDGES)), *checks]


async def _death(stage: Stage, shop: Shop, client: httpx.AsyncClient, saga: str, edge: str) -> Death:
    with stage.database() as session:
        [[job]] = session.execute(_JOB, [shop.id, saga]).fetchall()
    url = f"{stage.fleet.url}/v1/sales-orders/{await _order_of(client, saga)}"
    access = (shop.token, str(stage.fleet.layout.certificate))
    meanwhile = None
    if edge in BACK_EDGES:  # the customer changes their mind once it is paid for
        meanwhile = Meanwhile("capture:recorded", f"{url}/cancel", *access, {"reason": "changed mind"})
    elif edge in DELIVERED_BACK_EDGES:  # somebody has drafted the invoice by hand
        meanwhile = Meanwhile("deliver:after", f"{url}/invoices", *access, {})
    return Death(UUID(shop.id), UUID(str(job)), edge, meanwhile)


async def _order_of(client: httpx.AsyncClient, saga: str) -> str:
    return str((await client.get(f"/v1/fulfilments/{saga}")).raise_for_status().json()["order_id"])


async def _die(stage: Stage, deaths: Sequence[Death]) -> int:
    """How many were killed where they were told to die."""
    port = stage.fleet.options.ports["payments"]
    environment = stage.fleet.endpoints.environment("dying.worker", "worker")
    told = {key: value for key, value in stage.fleet.settings.items() if key.startswith("ERP_WORKER_")}
    with tempfile.TemporaryDirectory(prefix="erp-chaos-") as folder:
        log = Path(folder) / "workers.log"
        command = (sys.executable, "-m", "tests.faults.dying_worker", msgspec.json.encode(deaths).decode())
        more = {"ERP_PAYMENTS_URL": f"http://127.0.0.1:{port}"}
        running = start(Program("workers", command, log, ROOT, environment | told | more))
        await asyncio.to_thread(running.process.wait, 90)
        said = log.read_text()
    if "ended: " not in said:
        raise RuntimeError(f"the dying workers did not come to their end: {said[-600:]}")
    return said.rpartition("ended: ")[2].count(str(-signal.SIGKILL.value))


async def _as_told(
    shop: Shop, client: httpx.AsyncClient, provider: httpx.AsyncClient, edges: dict[str, str]
) -> list[Check]:
    """Which way each ended, what the provider was asked for, and which documents its order has."""
    operations = (await provider.get("/v1/operations", params={"account": shop.id})).json()
    ends, money, documents = [], [], []
    for saga, edge in edges.items():
        wanted = "completed" if edge in FORWARD_EDGES else "compensated"
        view = (await client.get(f"/v1/fulfilments/{saga}")).json()
        if view["state"] != wanted:
            ends.append(f"{edge}: {view['state']}")
        asked = [one["operation"] for one in operations if one["payment"] == f"saga:{saga}" and one["accepted"]]
        if asked != _ACCEPTED[wanted]:
            money.append(f"{edge}: {asked}")
        made = [await _count(client, kind, view["order_id"]) for kind in ("deliveries", "invoices", "returns")]
        if made != ([1, 1, 0] if wanted == "completed" else [0, 0, 0] if edge in BACK_EDGES else [1, 1, 1]):
            documents.append(f"{edge}: {made}")
    return [
        none_of("sagas that ended otherwise", ends),
        none_of("payments other than told", money),
        none_of("documents other than told", documents),
    ]


async def _count(client: httpx.AsyncClient, kind: str, order: str) -> int:
    found: Any = (await client.get(f"/v1/{kind}", params={"order_id": order})).raise_for_status().json()
    return len(found["data"])


SCENARIOS = (
    Scenario(
        "saga-edges", f"kill -9 of the worker at each of {len(_EDGES)} edges of a saga",
        "every saga ends within 60 s, each effect once", workers_die_at_every_edge,
    ),
)  # fmt: skip
