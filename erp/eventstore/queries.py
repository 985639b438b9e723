"""Reading events and verifications in pages."""

from sqlalchemy import Uuid, bindparam, select

from db.statement import TENANT, Statement
from erp.eventstore.folding import StreamEvent
from erp.eventstore.models import event_verifications
from erp.eventstore.repository import EVENT_COLUMNS, VERIFICATION_COLUMNS, VERIFICATION_STATE, VerificationRow
from erp.http.filters import eq, in_, span
from erp.http.listing import Listing
from tenancy.trail import events

_all = select(*EVENT_COLUMNS).where(events.c.tenant_id == TENANT)

EVENTS: Listing[StreamEvent] = Listing(
    select=_all,
    row=StreamEvent,
    key=events.c.event_id,
    sorts={"position": events.c.position},
    default="position",
    filters={"position": span(events.c.position), "type": in_(events.c.type)},
)
#: One stream; its id comes from the path.
STREAM_EVENTS: Listing[StreamEvent] = Listing(
    select=_all.where(events.c.aggregate_id == bindparam("aggregate_id", type_=Uuid)),
    row=StreamEvent,
    key=events.c.event_id,
    sorts={"version": events.c.version},
    default="version",
)
VERIFICATION: Statement[VerificationRow] = Statement(
    select(*VERIFICATION_COLUMNS).where(
        event_verifications.c.tenant_id == TENANT,
        event_verifications.c.id == bindparam("verification_id", type_=Uuid),
    ),
    VerificationRow,
)
VERIFICATIONS: Listing[VerificationRow] = Listing(
    select=select(*VERIFICATION_COLUMNS).where(event_verifications.c.tenant_id == TENANT),
    row=VerificationRow,
    key=event_verifications.c.id,
    sorts={"created_at": event_verifications.c.created_at},
    default="-created_at",
    filters={"kind": eq(event_verifications.c.kind), "state": in_(VERIFICATION_STATE)},
)
