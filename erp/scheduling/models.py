"""Schedules, their runs, and what the operator sees of the system's own tasks."""

from sqlalchemy import Boolean, Column, DateTime, Float, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from db.metadata import metadata

schedules = Table(
    "schedules", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("name", Text),
    Column("kind", Text),
    Column("parameters", JSONB),
    Column("cron", Text),
    Column("time_zone", Text),
    Column("missed", Text),
    Column("enabled", Boolean),
    Column("next_at", DateTime(timezone=True)),
    Column("settled_to", DateTime(timezone=True)),
    Column("version", Integer),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip

schedule_runs = Table(
    "schedule_runs", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("schedule_id", Uuid),
    Column("slot", DateTime(timezone=True)),
    Column("trigger", Text),
    Column("missed", Integer),
    Column("job_id", Uuid),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip

system_schedules = Table(
    "system_schedules", metadata,
    Column("job", Text, primary_key=True),
    Column("every", Float),
    Column("declared_cron", Text),
    Column("declared_time_zone", Text),
    Column("declared_missed", Text),
    Column("cron", Text),
    Column("time_zone", Text),
    Column("missed", Text),
    Column("enabled", Boolean),
    Column("settled_to", DateTime(timezone=True)),
    Column("requested_at", DateTime(timezone=True)),
    Column("reason", Text),
    Column("version", Integer),
    Column("changed_at", DateTime(timezone=True)),
)  # fmt: skip
