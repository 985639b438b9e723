"""Write-side statements of what is claimed of stock, and of what is on its way into it."""

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Date,
    DateTime,
    Integer,
    Numeric,
    Subquery,
    Text,
    Uuid,
    bindparam,
    case,
    cast,
    delete,
    func,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from db.statement import TENANT, Statement, any_of, rows_of
from erp.inventory.models import incoming_stock, reservations


class ReservationRow(NamedTuple):
    id: UUID
    product_id: UUID
    location_id: UUID
    state: str
    quantity: Decimal
    open_quantity: Decimal
    expires_at: datetime
    source_type: str
    source_id: UUID | None
    source_line_id: UUID | None
    reference: str
    external_id: str | None
    closed_at: datetime | None
    version: int
    created_at: datetime


class DueRow(NamedTuple):
    id: UUID
    product_id: UUID
    location_id: UUID


_pair = rows_of(products=Uuid, locations=Uuid)
_new_reservation = rows_of(
    ids=Uuid, products=Uuid, locations=Uuid, quantities=Numeric, source_lines=Uuid, external_ids=Text
)
ADD_RESERVATIONS: Statement[tuple[()]] = Statement(
    insert(reservations).from_select(
        ["tenant_id", "expires_at", "source_type", "source_id", "reference", "created_at", "id", "product_id",
         "location_id", "quantity", "open_quantity", "source_line_id", "external_id"],
        select(
            cast(TENANT, Uuid), cast(bindparam("expires_at"), DateTime(timezone=True)),
            cast(bindparam("source_type"), Text), cast(bindparam("source_id"), Uuid),
            cast(bindparam("reference"), Text), cast(bindparam("created_at"), DateTime(timezone=True)),
            _new_reservation.c.ids, _new_reservation.c.products, _new_reservation.c.locations,
            _new_reservation.c.quantities, _new_reservation.c.quantities, _new_reservation.c.source_lines,
            _new_reservation.c.external_ids,
        ),
    )
)  # fmt: skip

RESERVATION_COLUMNS = tuple(reservations.c[name] for name in ReservationRow._fields)

#: The level rows come first and guard these rows too; the lock here only guards against a missing one there.
LOCK_OF_SOURCE: Statement[ReservationRow] = Statement(
    select(*RESERVATION_COLUMNS)
    .where(
        reservations.c.tenant_id == TENANT,
        reservations.c.source_id == bindparam("source_id", type_=Uuid),
        reservations.c.state == "active",
    )
    .order_by(reservations.c.id)
    .with_for_update(key_share=True),
    ReservationRow,
)

#: The same without a lock, to be shown.
OF_SOURCE: Statement[ReservationRow] = Statement(
    select(*RESERVATION_COLUMNS).where(
        reservations.c.tenant_id == TENANT,
        reservations.c.source_id == bindparam("source_id", type_=Uuid),
        reservations.c.state == "active",
    ),
    ReservationRow,
)


def held_by_line(source_id: ColumnElement[Any]) -> Subquery:
    """What the document's active reservations hold for each of its lines: `line_id` and `held`."""
    return (
        select(
            reservations.c.source_line_id.label("line_id"),
            func.sum(reservations.c.open_quantity).label("held"),
        )
        .where(
            reservations.c.tenant_id == TENANT,
            reservations.c.source_id == source_id,
            reservations.c.state == "active",
        )
        .group_by(reservations.c.source_line_id)
        .subquery("held_lines")
    )


LOCK_RESERVATIONS: Statement[ReservationRow] = Statement(
    select(*RESERVATION_COLUMNS)
    .where(reservations.c.tenant_id == TENANT, reservations.c.id == any_of("ids", Uuid))
    .order_by(reservations.c.id)
    .with_for_update(key_share=True),
    ReservationRow,
)

PEEK_RESERVATION: Statement[DueRow] = Statement(
    select(reservations.c.id, reservations.c.product_id, reservations.c.location_id).where(
        reservations.c.tenant_id == TENANT, reservations.c.id == bindparam("id", type_=Uuid)
    ),
    DueRow,
)

DUE_RESERVATIONS: Statement[DueRow] = Statement(
    select(reservations.c.id, reservations.c.product_id, reservations.c.location_id)
    .where(
        reservations.c.tenant_id == TENANT,
        reservations.c.state == "active",
        reservations.c.expires_at <= bindparam("now", type_=DateTime(timezone=True)),
    )
    .order_by(reservations.c.expires_at, reservations.c.id)
    .limit(bindparam("limit", type_=Integer)),
    DueRow,
)

_taken = rows_of(ids=Uuid, quantities=Numeric)
_left = reservations.c.open_quantity - _taken.c.quantities
#: `state`: what a reservation becomes when nothing of it is left.
TAKE_FROM_RESERVATIONS: Statement[tuple[()]] = Statement(
    update(reservations)
    .where(reservations.c.tenant_id == TENANT, reservations.c.id == _taken.c.ids)
    .values(
        open_quantity=_left,
        state=case((_left == 0, cast(bindparam("final_state"), Text)), else_=reservations.c.state),
        closed_at=case((_left == 0, cast(bindparam("at"), DateTime(timezone=True))), else_=None),
        version=reservations.c.version + 1,
    )
)

SET_EXPIRY: Statement[tuple[()]] = Statement(
    update(reservations)
    .where(reservations.c.tenant_id == TENANT, reservations.c.id == any_of("ids", Uuid))
    .values(expires_at=bindparam("new_expiry"), version=reservations.c.version + 1)
)

#: The rows a document no longer expects.
DROP_INCOMING: Statement[tuple[()]] = Statement(
    delete(incoming_stock).where(
        incoming_stock.c.tenant_id == TENANT,
        incoming_stock.c.source_id == bindparam("source_id", type_=Uuid),
        tuple_(incoming_stock.c.product_id, incoming_stock.c.location_id).not_in(select(*_pair.c)),
    )
)

_expected = rows_of(products=Uuid, locations=Uuid, quantities=Numeric, dates=Date)
_incoming = insert(incoming_stock).from_select(
    ["tenant_id", "source_id", "source_type", "product_id", "location_id", "quantity", "expected_on"],
    select(
        cast(TENANT, Uuid), cast(bindparam("source_id"), Uuid), cast(bindparam("source_type"), Text), *_expected.c
    ),
)  # fmt: skip
SET_INCOMING: Statement[tuple[()]] = Statement(
    _incoming.on_conflict_do_update(
        index_elements=["tenant_id", "source_id", "product_id", "location_id"],
        set_={"quantity": _incoming.excluded.quantity, "expected_on": _incoming.excluded.expected_on},
        where=or_(
            incoming_stock.c.quantity != _incoming.excluded.quantity,
            incoming_stock.c.expected_on.is_distinct_from(_incoming.excluded.expected_on),
        ),
    )
)
