"""The tables of recurring orders."""

from sqlalchemy import Boolean, Column, Date, DateTime, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from db.metadata import metadata

recurring_orders = Table(
    "recurring_orders", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("name", Text),
    Column("state", Text),
    Column("party_id", Uuid),
    Column("schedule_id", Uuid),
    Column("template", JSONB),
    Column("confirm", Boolean),
    Column("when_short", Text),
    Column("ends_on", Date),
    Column("most_orders", Integer),
    Column("made", Integer),
    Column("version", Integer),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip

recurring_order_runs = Table(
    "recurring_order_runs", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("recurring_order_id", Uuid),
    Column("slot", DateTime(timezone=True)),
    Column("outcome", Text),
    Column("order_id", Uuid),
    Column("code", Text),
    Column("detail", Text),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip
