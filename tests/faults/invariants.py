"""What holds whatever was broken: asked of the primary, both standbys and the API when the fleet is at rest."""

import asyncio
from decimal import Decimal

import psycopg

from tests.faults.stage import Stage, Trade, until
from tests.faults.verdict import Check, none_of
from tests.fleet.reconciliation import (
    expected_records,
    found_records,
    held,
    stock_moved,
    stock_told,
    unfinished_flows,
)
from tests.fleet.storm import OPENING, SCARCE, ask
from tests.fleet.traders import Shop

SETTLED_WITHIN = 60.0


async def settled(stage: Stage, shops: list[Shop]) -> list[Check]:
    """Waits until nothing is under way any more; a rest that does not come is a broken promise."""
    checks = []
    for name, sql in (
        ("events not published", "SELECT count(*) FROM outbox WHERE tenant_id = ANY(%s::uuid[])"),
        (
            "jobs not finished",
            "SELECT count(*) FROM jobs WHERE tenant_id = ANY(%s::uuid[]) AND state IN ('queued', 'running')"
            " AND run_at <= now()",
        ),
        ("prepared transactions", "SELECT count(*) FROM pg_prepared_xacts WHERE %s::uuid[] IS NOT NULL"),
    ):
        checks.append(await _comes_to_nothing(stage, name, sql, [shop.id for shop in shops]))
    return checks


async def _comes_to_nothing(stage: Stage, name: str, sql: str, tenants: list[str]) -> Check:
    with stage.database() as session:
        left = -1

        def nothing() -> bool:
            nonlocal left
            [[found]] = session.execute(sql, [tenants]).fetchall()
            left = int(str(found))
            return left == 0

        try:
            await until(nothing, SETTLED_WITHIN, name)
        except TimeoutError:
            return Check(name, f"{left} after {SETTLED_WITHIN:g} s", "0", False)
    return Check(name, "0", "0", True)


async def held_by(stage: Stage, trade: Trade) -> list[Check]:
    """The history of the traders beside the books of their tenant."""
    checks = await settled(stage, [trade.shop])
    checks += await asyncio.to_thread(_compared, stage, trade)
    proof = await ask(stage.fleet, trade.shop.token, "/v1/proof")
    broken = [check["name"] for check in proof["checks"] if not check["holds"]]
    return [*checks, none_of("broken proofs", broken), none_of("stale reads of own writes", trade.history.stale)]


def _compared(stage: Stage, trade: Trade) -> list[Check]:
    history, shop = trade.history, trade.shop
    expected = expected_records(history, shop)
    with stage.database() as primary:
        found = found_records(primary, history, shop)
        moved = stock_moved(primary, shop)
        gone = held(primary, shop, shop.scarce)
        unfinished = unfinished_flows(primary, history, shop)
    del moved[shop.scarce]
    told = stock_told(history, shop, OPENING, trade.imported)
    sold = [deed for deed in history.of(shop, "scarce") if deed.done]
    written = len([deed for deed in history.deeds if deed.done])
    return [
        Check("acknowledged writes", str(written), "> 0", written > 0),
        none_of("of them lost", [mark for mark in expected if mark not in found]),
        none_of("done twice", [mark for mark, ids in found.items() if len(ids) > 1]),
        none_of("done though refused", [mark for mark in found if mark not in expected]),
        none_of("flows torn apart", unfinished),
        none_of("unlike on a standby", _differing(stage, trade, expected)),
        none_of("stock other than told", sorted(told.items() ^ moved.items())),
        Check("oversold", str(max(gone - SCARCE, Decimal(0))), "0", gone == len(sold) <= SCARCE),
    ]


def _differing(stage: Stage, trade: Trade, expected: dict[str, list[str]]) -> list[str]:
    """Standbys that do not show the same once they have replayed everything."""
    cluster = stage.fleet.plan.cluster
    with stage.database() as primary:
        [[written]] = primary.execute("SELECT pg_current_wal_lsn()").fetchall()
    wrong = []
    for replica in cluster.replicas:
        with psycopg.connect(replica.dsn("postgres", cluster.credentials.superuser, "erp"), autocommit=True) as one:
            caught_up = _replayed(one, written)
            if not caught_up or found_records(one, trade.history, trade.shop) != expected:
                wrong.append(replica.name)
    return wrong


def _replayed(standby: psycopg.Connection[tuple[object, ...]], position: object) -> bool:
    for _ in range(600):
        [[reached]] = standby.execute("SELECT pg_last_wal_replay_lsn() >= %s", [position]).fetchall()
        if reached:
            return True
        standby.execute("SELECT pg_sleep(0.05)")
    return False
