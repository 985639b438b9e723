"""Events, rebuilt states and verifications as the API shows them."""

from typing import Any
from uuid import UUID

from erp.eventstore.folding import Folded, StreamEvent, differences
from erp.eventstore.repository import VerificationRow
from erp.eventstore.schemas import DifferenceView, EventView, RebuiltView, VerificationView


def event_view(row: StreamEvent) -> EventView:
    return EventView(
        id=row.event_id, position=row.position, stream_type=row.aggregate_type, stream_id=row.aggregate_id,
        version=row.version, type=row.type, schema_version=row.schema_version, data=row.data,
        occurred_at=row.occurred_at, correlation_id=row.correlation_id, causation_id=row.causation_id,
    )  # fmt: skip


def rebuilt_view(stream_type: str, stream_id: UUID, folded: Folded, stored: dict[str, Any] | None) -> RebuiltView:
    """`stored` None: an earlier state was asked for, there is nothing to compare."""
    found = None
    if stored is not None:
        found = [
            DifferenceView(
                aggregate_type=stream_type, aggregate_id=str(stream_id), field=field, stored=one, rebuilt=other
            )
            for field, one, other in differences(stored, folded.state)
        ]
    return RebuiltView(
        stream_type=stream_type, stream_id=stream_id, version=folded.version, occurred_at=folded.at,
        state=dict(folded.state), complete=folded.complete, agrees=None if found is None else not found,
        differences=found,
    )  # fmt: skip


def verification_view(row: VerificationRow) -> VerificationView:
    values = row._asdict()
    values["difference"] = None if row.difference is None else DifferenceView(**row.difference)
    values["operation"] = None if row.operation is None else f"/v1/operations/{row.id}"
    return VerificationView(**values)
