"""What verifications found."""

from sqlalchemy import Column, DateTime, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from db.metadata import metadata

event_verifications = Table(
    "event_verifications", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("kind", Text),
    Column("state", Text),
    Column("checked", Integer),
    Column("incomplete", Integer),
    Column("differing", Integer),
    Column("difference", JSONB),
    Column("version", Integer),
    Column("created_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
)  # fmt: skip
