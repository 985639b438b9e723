"""Notices: what the system tells the people of a tenant, once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from db.identifiers import new_id
from erp.jobs.repository import ACKNOWLEDGE, ADD_NOTICE, LOCK_NOTICE, NoticeRow
from erp.jobs.schemas import NoticeView
from erp.kernel.errors import InvalidState, NotFound
from tenancy.trail import Event
from tenancy.work import UnitOfWork


@dataclass(frozen=True, slots=True)
class NewNotice:
    """`key` is unique per kind: a second notice of the same key is not written."""

    kind: str
    key: str
    title: str
    subject_type: str
    subject_id: UUID
    data: Mapping[str, Any]


async def give_notice(work: UnitOfWork, notice: NewNotice) -> UUID | None:
    """Write the notice and its event; None when it was given before."""
    [added] = await work.load(
        ADD_NOTICE(
            id=new_id(), kind=notice.kind, key=notice.key, title=notice.title, subject_type=notice.subject_type,
            subject_id=notice.subject_id, data=Jsonb(dict(notice.data)),
        )
    )  # fmt: skip
    if not added:
        return None
    [(notice_id,)] = added
    facts = {"kind": notice.kind, "subject_type": notice.subject_type, "subject_id": str(notice.subject_id)}
    work.publish(Event("notice", notice_id, 1, "notice.given", {**facts, "title": notice.title}))
    work.audit("notice.give", "notice", notice_id, after=facts)
    return UUID(str(notice_id))


async def acknowledge_notice(work: UnitOfWork, notice_id: UUID) -> NoticeView:
    """Someone has seen it; it leaves the list of open ones."""
    [found] = await work.load(LOCK_NOTICE(notice_id=notice_id))
    if not found:
        raise NotFound(notice_id=str(notice_id))
    before = found[0]
    work.check_version(before.version)
    if before.state != "open":
        raise InvalidState("The notice has been acknowledged already.", state=before.state)
    after = before._replace(state="acknowledged", acknowledged_at=work.now, version=before.version + 1)
    work.save(ACKNOWLEDGE(notice_id=notice_id, at=work.now))
    work.publish(Event("notice", notice_id, after.version, "notice.acknowledged", {"kind": after.kind}))
    work.audit("notice.acknowledge", "notice", notice_id, before={"state": "open"}, after={"state": after.state})
    return notice_view(after)


def notice_view(notice: NoticeRow) -> NoticeView:
    return NoticeView(
        id=notice.id, version=notice.version, kind=notice.kind, title=notice.title,
        subject_type=notice.subject_type, subject_id=notice.subject_id, data=notice.data,
        state=notice.state,  # type: ignore[arg-type]  # a CHECK keeps it to the literals
        acknowledged_at=notice.acknowledged_at, created_at=notice.created_at,
    )  # fmt: skip
