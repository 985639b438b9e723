"""Who an import acts for, asked again whenever it starts or goes on."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Uuid, bindparam, func, select

from db.statement import TENANT, Statement
from erp.jobs.models import job_rows
from tenancy.api_keys import api_keys


class KeyFacts(NamedTuple):
    id: UUID
    name: str
    role: str
    scopes: list[str]
    state: str
    expires_at: datetime | None


class Counted(NamedTuple):
    """`outcome` None: still to be booked."""

    outcome: str | None
    rows: int


KEY_OF_ID: Statement[KeyFacts] = Statement(
    select(*(api_keys.c[name] for name in KeyFacts._fields)).where(
        api_keys.c.tenant_id == TENANT, api_keys.c.id == bindparam("key_id", type_=Uuid)
    ),
    KeyFacts,
)
COUNT_ROWS: Statement[Counted] = Statement(
    select(job_rows.c.outcome, func.count())
    .where(job_rows.c.tenant_id == TENANT, job_rows.c.job_id == bindparam("job_id", type_=Uuid))
    .group_by(job_rows.c.outcome),
    Counted,
)
