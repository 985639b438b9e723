"""The results of looking at a period before it is closed."""

from sqlalchemy import Boolean, Column, DateTime, Table, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from db.metadata import metadata

period_checks = Table(
    "period_checks", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("period_id", Uuid),
    Column("hinders", Boolean),
    Column("findings", JSONB),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip
