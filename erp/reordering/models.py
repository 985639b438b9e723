"""The tables of reordering. Quantities are in the product's own unit."""

from sqlalchemy import Boolean, Column, Date, DateTime, Integer, Numeric, Table, Text, Uuid

from db.metadata import metadata

reorder_rules = Table(
    "reorder_rules", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("product_id", Uuid),
    Column("warehouse_id", Uuid),
    Column("location_id", Uuid),
    Column("supplier_id", Uuid),
    Column("minimum", Numeric),
    Column("target", Numeric),
    Column("multiple", Numeric),
    Column("lead_days", Integer),
    Column("unit_price", Numeric),
    Column("active", Boolean),
    Column("version", Integer),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip

purchase_proposals = Table(
    "purchase_proposals", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("rule_id", Uuid),
    Column("product_id", Uuid),
    Column("supplier_id", Uuid),
    Column("location_id", Uuid),
    Column("state", Text),
    Column("quantity", Numeric),
    Column("unit_price", Numeric),
    Column("available", Numeric),
    Column("incoming", Numeric),
    Column("expected_on", Date),
    Column("order_id", Uuid),
    Column("reason", Text),
    Column("version", Integer),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip
