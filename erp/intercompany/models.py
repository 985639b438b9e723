"""A tenant's consent to trade with another one, and its side of their sales."""

from sqlalchemy import Boolean, Column, Date, DateTime, Integer, Numeric, Table, Text, Uuid

from db.metadata import metadata

intercompany_links = Table(
    "intercompany_links", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("partner_id", Uuid),
    Column("party_id", Uuid),
    Column("location_id", Uuid),
    Column("sells", Boolean),
    Column("buys", Boolean),
    Column("state", Text),
    Column("version", Integer),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip

intercompany_sales = Table(
    "intercompany_sales", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("side", Text),
    Column("partner_id", Uuid),
    Column("party_id", Uuid),
    Column("date", Date),
    Column("currency", Text),
    Column("net", Numeric),
    Column("tax", Numeric),
    Column("gross", Numeric),
    Column("line_count", Integer),
    Column("order_id", Uuid),
    Column("order_number", Text),
    Column("handover_id", Uuid),
    Column("handover_number", Text),
    Column("bill_id", Uuid),
    Column("bill_number", Text),
    Column("partner_number", Text),
    Column("version", Integer),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip
