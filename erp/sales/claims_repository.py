"""What commands on several orders lock: found without a lock, then locked in the order of the keys."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Uuid, and_, select

from db.statement import TENANT, Statement, any_of
from erp.parties.models import parties
from erp.sales.models import sales_order_lines, sales_orders


class ClaimedRow(NamedTuple):
    """One per line of goods; `product_id` None for an order without any. `limited`: the party has a credit limit."""

    order_id: UUID
    location_id: UUID
    party_id: UUID
    limited: bool
    product_id: UUID | None


_goods = and_(
    sales_order_lines.c.tenant_id == TENANT,
    sales_order_lines.c.order_id == sales_orders.c.id,
    sales_order_lines.c.kind == "stocked",
)
_these = and_(sales_orders.c.tenant_id == TENANT, sales_orders.c.id == any_of("ids", Uuid))

CLAIMED_BY_ORDERS: Statement[ClaimedRow] = Statement(
    select(
        sales_orders.c.id, sales_orders.c.location_id, sales_orders.c.party_id,
        parties.c.credit_limit.is_not(None), sales_order_lines.c.product_id,
    )
    .select_from(
        sales_orders.join(
            parties, and_(parties.c.tenant_id == sales_orders.c.tenant_id, parties.c.id == sales_orders.c.party_id)
        ).outerjoin(sales_order_lines, _goods)
    )
    .where(_these),
    ClaimedRow,
)  # fmt: skip
LOCK_ORDERS = Statement(
    select(sales_orders.c.id).where(_these).order_by(sales_orders.c.id).with_for_update(key_share=True)
)
