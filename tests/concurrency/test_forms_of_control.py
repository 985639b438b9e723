"""Optimistic and pessimistic commands among rivals, and several commands in one transaction in one lock order."""

import asyncio
import uuid
from typing import Any

import httpx
import pytest
from sqlalchemy import bindparam, update

from db.errors import Contention
from db.statement import TENANT, Bound
from erp.catalog.models import products
from erp.catalog.products import update_product
from erp.catalog.repository import READ_PRODUCT
from erp.catalog.schemas import UpdateProductInput
from erp.inventory import claims as claims_of_stock
from erp.inventory.stock import Pair
from erp.parties.schemas import CreatePartyInput, UpdatePartyInput
from erp.parties.service import create_party, update_party
from tenancy.concurrency import Claim, LockRank, lock_in_order, optimistic_save, over_version, pessimistic_load
from tenancy.work import UnitOfWork
from tests.api.whole.conftest import Tenant, gate, newcomer, operator, tenant
from tests.api.whole.trading import stocked_product
from tests.concurrency.stock_clients import Rush, rush_on
from tests.services import Services

__all__ = ["gate", "newcomer", "operator", "tenant"]
assert claims_of_stock  # declares how stock levels are locked
TOUCH = over_version(
    update(products)
    .where(
        products.c.tenant_id == TENANT,
        products.c.id == bindparam("product_id"),
        products.c.version == bindparam("seen"),
    )
    .values(version=products.c.version + 1)
)


def claim(pair: Pair) -> Claim:
    return Claim(LockRank.STOCK_LEVEL, "stock_levels", pair, f"stock:{pair[0]}:{pair[1]}")


async def stocked(rush: Rush) -> tuple[Pair, Pair]:
    for product in (rush.shop.lamp, rush.shop.cup):
        await rush.shop.receive(product, "10")
    return (rush.shop.lamp, rush.shop.location), (rush.shop.cup, rush.shop.location)


# -- several entities in one transaction -----------------------------------------------------------


async def test_rivals_that_claim_everything_ahead_never_deadlock(services: Services) -> None:
    async with rush_on(services, "nothing", clients=12) as rush:
        pairs = await stocked(rush)

        async def both(work: UnitOfWork, wanted: tuple[Pair, ...]) -> None:
            await lock_in_order(work, [claim(pair) for pair in wanted])

        await asyncio.gather(*(rush.shop.run(both, order) for _ in range(20) for order in (pairs, pairs[::-1])))
        assert rush.collisions == []


async def test_rivals_that_claim_one_thing_after_the_other_deadlock_and_are_repeated(services: Services) -> None:
    """The planted bug of the test above: each claim is in order, together they are in none."""
    async with rush_on(services, "nothing", clients=4) as rush:
        lamp, cup = await stocked(rush)
        both_hold_one, met = asyncio.Barrier(2), {lamp: False, cup: False}

        async def one_by_one(work: UnitOfWork, first: Pair, second: Pair) -> None:
            await lock_in_order(work, [claim(first)])
            if not met[first]:  # not again when the transaction is repeated
                met[first] = True
                await both_hold_one.wait()
            await lock_in_order(work, [claim(second)])

        await asyncio.gather(rush.shop.run(one_by_one, lamp, cup), rush.shop.run(one_by_one, cup, lamp))
        # More than once where the one that is repeated comes back before the other was woken.
        assert set(rush.collisions) == {"DeadlockDetected"}


async def test_batches_in_opposite_orders_all_succeed(tenant: Tenant) -> None:
    customer = await tenant.make("parties", code="C", name="Customer", is_customer=True, credit_limit="100000")
    stock = [await stocked_product(tenant, code, "100") for code in ("A", "B", "C")]

    async def drafts() -> list[str]:
        orders = [
            await tenant.make(
                "sales-orders", party_id=customer["id"], lines=[{"product_id": product["id"], "quantity": "1"}]
            )
            for product in stock
        ]
        return [order["id"] for order in orders]

    async def confirm(orders: list[str]) -> httpx.Response:
        operations = [{"op": "sales_orders.confirm", "target": order} for order in orders]
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        return await tenant.client.post("/v1/batch", json={"operations": operations}, headers=headers)

    batches = [(await drafts())[:: 1 if number % 2 else -1] for number in range(8)]
    replies = await asyncio.gather(*map(confirm, batches))
    assert {reply.status_code for reply in replies} == {200}, [reply.text for reply in replies]
    [*levels] = (await tenant.get("/v1/stock-levels"))["data"]
    assert {level["reserved"] for level in levels} == {"8"}


# -- optimistic ------------------------------------------------------------------------------------


async def rename(rush: Rush, number: int) -> Any:
    return await rush.until_done(update_product, rush.shop.lamp, UpdateProductInput(name=f"Lamp {number}"))


async def test_optimistic_writers_lose_no_change(services: Services) -> None:
    async with rush_on(services, "nothing", clients=6) as rush:
        [before] = await rush.shop.column("SELECT version FROM products WHERE id = %(id)s", id=rush.shop.lamp)
        await asyncio.gather(*(rename(rush, number) for number in range(12)))
        [after] = await rush.shop.column("SELECT version FROM products WHERE id = %(id)s", id=rush.shop.lamp)
        events = "SELECT count(*) FROM events WHERE aggregate_id = %(id)s AND type = 'product.updated'"
        assert await rush.shop.column(events, id=rush.shop.lamp) == [12]
        assert after == before + 12
        assert set(rush.collisions) <= {"SerializationFailure"}


async def test_a_reader_that_was_overtaken_runs_again_and_sees_the_change(services: Services) -> None:
    async with rush_on(services, "nothing", clients=3) as rush:
        seen: list[int] = []

        async def slow(work: UnitOfWork) -> None:
            [[row]] = await work.load(READ_PRODUCT(product_id=rush.shop.lamp))
            seen.append(row.version)
            if len(seen) == 1:
                await rename(rush, 1)
            optimistic_save(work, TOUCH(product_id=rush.shop.lamp, seen=row.version))

        await rush.shop.run(slow)
        assert seen == [seen[0], seen[0] + 1]
        assert rush.collisions == ["SerializationFailure"]


async def test_a_change_of_a_party_waits_for_nobody_and_loses_nobodys(services: Services) -> None:
    async with rush_on(services, "nothing", clients=3) as rush:
        made = await rush.shop.run(create_party, CreatePartyInput(code="P", name="Party", is_customer=True))
        runs: list[int] = []

        async def slow(work: UnitOfWork) -> None:
            await update_party(work, made.id, UpdatePartyInput(phone="+44 20 7946 0000"))
            runs.append(1)
            if len(runs) == 1:
                await rush.shop.run(update_party, made.id, UpdatePartyInput(name="Partner"))

        async with asyncio.timeout(20):
            await rush.shop.run(slow)
        assert (len(runs), rush.collisions) == (2, ["SerializationFailure"])
        columns = "SELECT name || ' ' || phone || ' ' || version FROM parties WHERE id = %(id)s"
        assert await rush.shop.column(columns, id=made.id) == ["Partner +44 20 7946 0000 3"]


async def test_an_optimistic_command_that_never_wins_gives_up(services: Services) -> None:
    async with rush_on(services, "nothing", clients=2) as rush:

        async def hopeless(work: UnitOfWork) -> None:
            optimistic_save(work, TOUCH(product_id=rush.shop.lamp, seen=0))

        with pytest.raises(Contention):
            await rush.shop.run(hopeless)
        assert rush.collisions == ["SerializationFailure"] * 5


async def test_a_write_that_does_not_compare_versions_loses_a_change(services: Services) -> None:
    """The planted bug: two read the same version, and both write over it."""
    async with rush_on(services, "nothing", clients=3) as rush:
        both_read = asyncio.Barrier(2)

        async def careless(work: UnitOfWork, name: str) -> int:
            [[row]] = await work.load(READ_PRODUCT(product_id=rush.shop.lamp))
            await both_read.wait()
            write = "UPDATE products SET name = %(name)s, version = %(next)s WHERE id = %(id)s"
            work.save(Bound(write, {"name": name, "next": row.version + 1, "id": rush.shop.lamp}))
            return int(row.version) + 1

        versions = await asyncio.gather(rush.shop.run(careless, "one"), rush.shop.run(careless, "two"))
        assert versions[0] == versions[1], "two changes, one version: one of them is lost"
        assert rush.collisions == []


async def test_each_form_refuses_a_statement_of_the_other(services: Services) -> None:
    async with rush_on(services, "nothing", clients=1) as rush:

        async def unlocked(work: UnitOfWork) -> None:
            await pessimistic_load(work, READ_PRODUCT(product_id=rush.shop.lamp))

        async def blind(work: UnitOfWork) -> None:
            optimistic_save(work, Bound("UPDATE products SET version = version + 1", {}))

        with pytest.raises(ValueError, match="locks nothing"):
            await rush.shop.run(unlocked)
        with pytest.raises(ValueError, match="compares no version"):
            await rush.shop.run(blind)
