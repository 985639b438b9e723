"""What commands on sales orders lock, for those who run several in one transaction."""

from uuid import UUID

from erp.inventory.stock import level_loads
from erp.parties.facts import locked_limits
from erp.sales.claims_repository import CLAIMED_BY_ORDERS, LOCK_ORDERS, ClaimedRow
from tenancy.concurrency import Claim, LockRank, locked_by
from tenancy.work import UnitOfWork

locked_by("sales_orders", lambda keys: LOCK_ORDERS(ids=[order for (order,) in keys]))
locked_by("parties", lambda keys: locked_limits([party for (party,) in keys]))
locked_by("stock_levels", lambda keys: level_loads((product, location) for product, location in keys))


async def claims_of_orders(work: UnitOfWork, order_ids: list[UUID]) -> list[Claim]:
    """The orders, their customers with a credit limit, and the stock levels of their goods.

    Orders there are not claim nothing: their command says so.
    """
    [rows] = await work.peek(CLAIMED_BY_ORDERS(ids=order_ids))
    return [claim for row in rows for claim in _claims_of(row)]


def _claims_of(row: ClaimedRow) -> list[Claim]:
    claims = [Claim(LockRank.DOCUMENT, "sales_orders", (row.order_id,))]
    if row.limited:
        claims.append(Claim(LockRank.PARTY, "parties", (row.party_id,), f"account:{row.party_id}"))
    if row.product_id is not None:
        pair = (row.product_id, row.location_id)
        claims.append(Claim(LockRank.STOCK_LEVEL, "stock_levels", pair, f"stock:{pair[0]}:{pair[1]}"))
    return claims
