"""Sagas: their runs and steps; and the reminders scheduled for invoices."""

from sqlalchemy import BigInteger, Column, Date, DateTime, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from db.metadata import metadata

saga_runs = Table(
    "saga_runs", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("kind", Text),
    Column("subject_type", Text),
    Column("subject_id", Uuid),
    Column("state", Text),
    Column("direction", Text),
    Column("fence", BigInteger),
    Column("input", JSONB),
    Column("attempts", Integer),
    Column("since", DateTime(timezone=True)),
    Column("retry_at", DateTime(timezone=True)),
    Column("job_id", Uuid),
    Column("error_code", Text),
    Column("error_detail", Text),
    Column("correlation_id", Text),
    Column("version", Integer),
    Column("created_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
)  # fmt: skip

saga_steps = Table(
    "saga_steps", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("saga_id", Uuid, primary_key=True),
    Column("n", Integer, primary_key=True),
    Column("name", Text),
    Column("state", Text),
    Column("key", Text),
    Column("undo_key", Text),
    Column("request", JSONB),
    Column("undo", JSONB),
    Column("result", JSONB),
    Column("undo_result", JSONB),
    Column("attempts", Integer),
    Column("undo_attempts", Integer),
    Column("error_code", Text),
    Column("error_detail", Text),
    Column("started_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
)  # fmt: skip

reminder_schedules = Table(
    "reminder_schedules", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("invoice_id", Uuid),
    Column("remind_on", Date),
    Column("version", Integer),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip
