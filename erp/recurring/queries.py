"""Reading recurring orders and what became of their moments."""

from sqlalchemy import Uuid, bindparam, select

from db.statement import TENANT
from erp.http.filters import eq, in_, span
from erp.http.listing import Listing
from erp.recurring.models import recurring_order_runs, recurring_orders
from erp.recurring.repository import RUN_COLUMNS, TIMED, RunRow, Timed, timed

RECURRING_ORDERS: Listing[Timed] = Listing(
    select=TIMED,
    row=timed,
    key=recurring_orders.c.id,
    sorts={"created_at": recurring_orders.c.created_at, "name": recurring_orders.c.name},
    default="-created_at",
    filters={
        "state": in_(recurring_orders.c.state),
        "party_id": eq(recurring_orders.c.party_id),
        "name": eq(recurring_orders.c.name),
    },
)
RUNS: Listing[RunRow] = Listing(
    select=select(*RUN_COLUMNS).where(
        recurring_order_runs.c.tenant_id == TENANT,
        recurring_order_runs.c.recurring_order_id == bindparam("recurring_order_id", type_=Uuid),
    ),
    row=RunRow,
    key=recurring_order_runs.c.id,
    sorts={"created_at": recurring_order_runs.c.created_at},
    default="-created_at",
    filters={"outcome": eq(recurring_order_runs.c.outcome), "slot": span(recurring_order_runs.c.slot)},
)
