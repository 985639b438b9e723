"""A limit for so many orders confirms as many, whoever asks at once and whatever Redis does."""

from decimal import Decimal

import pytest

from erp.parties.schemas import UpdatePartyInput
from erp.parties.service import update_party
from erp.sales.credit import exposure_of
from erp.sales.credit_queries import EXPOSURE
from erp.sales.errors import CreditLimitExceeded
from erp.sales.schemas import CreateOrderInput, DirectSaleInput
from erp.sales.service import confirm_order, create_direct_sale, create_order
from tests.concurrency.stock_clients import GUARDS, Guard, Rush, rush_on
from tests.services import Services
from tests.slices.inventory.shop import MARCH
from tests.slices.sales.selling import line, order, order_input

CLIENTS, WITHIN = 30, 12
#: Each order sells a lamp and a cup: 12.50 and a fifth of tax.
ORDER = Decimal("15.00")


async def shop_with_limit(rush: Rush) -> None:
    shop = rush.shop
    await shop.receive(shop.lamp, "1000")
    await shop.receive(shop.cup, "1000")
    await shop.run(update_party, shop.customer, UpdatePartyInput(credit_limit=str(ORDER * WITHIN + 14)))


async def spent(rush: Rush) -> Decimal:
    [row] = await rush.shop.rows(EXPOSURE(party_id=rush.shop.customer))
    return exposure_of(row, "GBP").total


@pytest.mark.parametrize("guard", GUARDS)
async def test_thirty_clients_confirm_as_many_orders_as_the_limit_holds(services: Services, guard: Guard) -> None:
    async with rush_on(services, guard, clients=CLIENTS) as rush:
        await shop_with_limit(rush)
        shop = rush.shop
        # Half of them in one step, half of them drafts; different products first, so that stock queues nobody.
        drafts = [await order(shop, line(shop.lamp), line(shop.cup)) for _ in range(CLIENTS // 2)]
        data = order_input(shop, line(shop.cup), line(shop.lamp), confirm=True)
        made, refused = await rush.all_at_once(
            [
                *(rush.until_done(create_order, data) for _ in range(CLIENTS // 2)),
                *(rush.until_done(confirm_order, draft.id) for draft in drafts),
            ]
        )
        assert len(made) == WITHIN
        assert {type(refusal) for refusal in refused} == {CreditLimitExceeded}
        assert await spent(rush) == ORDER * WITHIN
        assert await shop.level(shop.lamp) == ("1000", str(WITHIN))
        assert await shop.wrong() == {}


@pytest.mark.parametrize("guard", ["redis", "nothing"])
async def test_services_have_no_stock_to_queue_at_and_still_share_one_limit(services: Services, guard: Guard) -> None:
    async with rush_on(services, guard, clients=CLIENTS) as rush:
        shop = rush.shop
        await shop.run(update_party, shop.customer, UpdatePartyInput(credit_limit="60"))
        data = CreateOrderInput(party_id=shop.customer, lines=[line(shop.carriage)], date=MARCH, confirm=True)
        made, refused = await rush.all_at_once(rush.until_done(create_order, data) for _ in range(CLIENTS))
        assert (len(made), len(refused)) == (10, CLIENTS - 10)
        assert await spent(rush) == 60


async def test_sales_over_the_counter_share_the_limit_with_orders(services: Services) -> None:
    async with rush_on(services, "nothing", clients=CLIENTS) as rush:
        await shop_with_limit(rush)
        shop = rush.shop
        sale = DirectSaleInput(party_id=shop.customer, lines=[line(shop.lamp), line(shop.cup)], date=MARCH)
        data = order_input(shop, line(shop.cup), line(shop.lamp), confirm=True)
        made, refused = await rush.all_at_once(
            [
                *(rush.until_done(create_order, data) for _ in range(CLIENTS // 2)),
                *(rush.until_done(create_direct_sale, sale) for _ in range(CLIENTS // 2)),
            ]
        )
        assert len(made) == WITHIN
        assert {type(refusal) for refusal in refused} == {CreditLimitExceeded}
        assert await spent(rush) == ORDER * WITHIN
        assert await shop.wrong() == {}
