"""Write-side statements of open items and their allocations."""

from decimal import Decimal
from typing import Literal, NamedTuple
from uuid import UUID

from sqlalchemy import Date as SqlDate
from sqlalchemy import (
    DateTime,
    Numeric,
    Text,
    Uuid,
    any_,
    bindparam,
    case,
    cast,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import array

from db.statement import TENANT, Statement, any_of, rows_of
from erp.accounting.models import allocations, open_items
from erp.kernel.text import Date


class OpenItemRow(NamedTuple):
    id: UUID
    party_id: UUID
    side: str
    direction: str
    document_type: str
    document_id: UUID
    document_number: str
    date: Date
    due_date: Date
    currency: str
    amount: Decimal
    open_amount: Decimal
    version: int


class AllocationRow(NamedTuple):
    """An allocation that settles (never one that takes back); `reversed`: it was taken back."""

    id: UUID
    open_item_id: UUID
    counter_type: Literal["payment", "open_item"]
    counter_id: UUID
    amount: Decimal
    date: Date
    entry_id: UUID | None
    pair_id: UUID | None
    document_type: str
    document_id: UUID
    document_number: str
    reversed: bool


ADD_OPEN_ITEM: Statement[tuple[()]] = Statement(
    insert(open_items).values(
        tenant_id=TENANT,
        open_amount=bindparam("amount"),
        **{
            name: bindparam(name)
            for name in (
                "id", "party_id", "side", "direction", "document_type", "document_id", "document_number", "date",
                "due_date", "currency", "amount", "created_at",
            )
        },
    )
)  # fmt: skip

LOCK_ITEMS: Statement[OpenItemRow] = Statement(
    select(*(open_items.c[name] for name in OpenItemRow._fields))
    .where(
        open_items.c.tenant_id == TENANT,
        or_(open_items.c.id == any_of("targets", Uuid), open_items.c.document_id == any_of("targets", Uuid)),
    )
    .order_by(open_items.c.id)  # one order for everybody: no deadlock
    .with_for_update(),
    OpenItemRow,
)

_taken_back = allocations.alias("taken_back")
_ALLOCATIONS = select(
    allocations.c.id,
    allocations.c.open_item_id,
    allocations.c.counter_type,
    allocations.c.counter_id,
    allocations.c.amount,
    allocations.c.date,
    allocations.c.entry_id,
    allocations.c.pair_id,
    open_items.c.document_type,
    open_items.c.document_id,
    open_items.c.document_number,
    exists().where(_taken_back.c.tenant_id == TENANT, _taken_back.c.reverses_id == allocations.c.id),
).where(
    allocations.c.tenant_id == TENANT,
    allocations.c.reverses_id.is_(None),
    open_items.c.tenant_id == TENANT,
    open_items.c.id == allocations.c.open_item_id,
)

_counter = bindparam("counter_id", type_=Uuid)
#: A payment is the counter itself; a credit note is it through its open item.
_counters = any_(
    array(
        [
            _counter,
            select(open_items.c.id)
            .where(open_items.c.tenant_id == TENANT, open_items.c.document_id == _counter)
            .scalar_subquery(),
        ]
    )
)

#: Needs no lock of its own: its items' rows and its payment's row are locked before, and an allocation is
#: taken back at most once (unique index).
ALLOCATIONS_OF_COUNTER: Statement[AllocationRow] = Statement(
    _ALLOCATIONS.where(allocations.c.counter_id == _counters).order_by(allocations.c.id),
    AllocationRow,
)

#: ARRAY(...), not IN (...): beside the OR only an array is an index condition.
_settled_ids = func.array(
    select(allocations.c.open_item_id)
    .where(allocations.c.tenant_id == TENANT, allocations.c.counter_id == _counters)
    .scalar_subquery()
)
#: The items a payment or credit note has settled, whether still or no longer, and the credit note's own.
LOCK_SETTLED_ITEMS: Statement[OpenItemRow] = Statement(
    select(*(open_items.c[name] for name in OpenItemRow._fields))
    .where(
        open_items.c.tenant_id == TENANT,
        or_(
            open_items.c.document_id == _counter,
            open_items.c.id == any_(_settled_ids),
        ),
    )
    .order_by(open_items.c.id)
    .with_for_update(of=open_items),
    OpenItemRow,
)

_allocation = rows_of(
    ids=Uuid, items=Uuid, counter_types=Text, counters=Uuid, amounts=Numeric, dates=SqlDate, entries=Uuid,
    pairs=Uuid, reversals=Uuid,
)  # fmt: skip
ADD_ALLOCATIONS: Statement[tuple[()]] = Statement(
    insert(allocations).from_select(
        ["tenant_id", "created_at", "id", "open_item_id", "counter_type", "counter_id", "amount", "date", "entry_id",
         "pair_id", "reverses_id"],
        select(cast(TENANT, Uuid), cast(bindparam("at"), DateTime(timezone=True)), *_allocation.c),
    )
)  # fmt: skip

_change = rows_of(ids=Uuid, changes=Numeric, dates=SqlDate)
_left = open_items.c.open_amount - _change.c.changes
_last = func.greatest(open_items.c.last_allocated_on, _change.c.dates)
MOVE_ITEMS: Statement[tuple[()]] = Statement(
    update(open_items)
    .where(open_items.c.tenant_id == TENANT, open_items.c.id == _change.c.ids)
    .values(
        open_amount=_left,
        last_allocated_on=_last,
        settled_on=case((_left == 0, _last)),
        version=open_items.c.version + 1,
    )
)
