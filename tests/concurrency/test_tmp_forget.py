import asyncio, sys
import pytest
from db.errors import DomainError
from db.statement import Bound
from erp.inventory.schemas import CreateReservationInput
from erp.inventory.service import create_reservation, expire_reservations
from erp.sales.schemas import DeliverOrderInput
from erp.sales.service import deliver_order, reserve_order
from tests.concurrency.stock_clients import rush_on, Rush
from tests.slices.inventory.shop import MARCH
from tests.slices.sales.selling import confirmed, line

@pytest.mark.timeout(600)
async def test_it(services):
  for n in range(80):
    async with rush_on(services, "forgetful redis", clients=20) as rush:
        shop = rush.shop
        log = []
        async def until_done(command, *a):
            while True:
                try:
                    return await shop.run(command, *a)
                except DomainError as r:
                    log.append((command.__name__, type(r).__name__, r.detail, r.facts))
                    if not r.retryable:
                        raise
        rush.until_done = until_done
        async def story():
            await shop.receive(shop.lamp, "12")
            log.append("received")
            orders = [await confirmed(shop, line(shop.lamp, "3")) for _ in range(4)]
            log.append("confirmed")
            shop.tamper("UPDATE reservations SET expires_at = now() - interval '1 second' WHERE tenant_id = %s AND state = 'active'", shop.caller.tenant.id)
            data = DeliverOrderInput(date=MARCH)
            calls = [
                *(rush.until_done(deliver_order, made.id, data) for made in orders),
                *(rush.until_done(expire_reservations, 2) for _ in range(4)),
                *(rush.until_done(reserve_order, made.id) for made in orders),
                *(rush.until_done(create_reservation, CreateReservationInput(product_id=shop.lamp, quantity="2")) for _ in range(4)),
            ]
            await rush.all_at_once(calls)
            log.append("crowd done")
            await rush.until_done(expire_reservations, 100)
            assert await shop.wrong() == {}
        task = asyncio.ensure_future(story())
        done, pending = await asyncio.wait([task], timeout=20)
        if pending:
            for t in asyncio.all_tasks():
                t.print_stack(file=sys.stderr, limit=6)
            for l in log: print(l, file=sys.stderr)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise AssertionError(n)
        task.result()
