"""Stock's tables. Quantities are in the product's base unit, values in the tenant's currency."""

from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Integer, Numeric, Table, Text, Uuid

from db.metadata import metadata

warehouses = Table(
    "warehouses", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("code", Text),
    Column("name", Text),
    Column("active", Boolean),
    Column("external_id", Text),
    Column("version", Integer),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip

locations = Table(
    "locations", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("warehouse_id", Uuid),
    Column("code", Text),
    Column("name", Text),
    Column("is_default", Boolean),
    Column("active", Boolean),
    Column("external_id", Text),
    Column("version", Integer),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip

stock_levels = Table(
    "stock_levels", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("product_id", Uuid, primary_key=True),
    Column("location_id", Uuid, primary_key=True),
    Column("id", Uuid),
    Column("on_hand", Numeric),
    Column("reserved", Numeric),
    Column("version", Integer),
)  # fmt: skip

product_costs = Table(
    "product_costs", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("product_id", Uuid, primary_key=True),
    Column("quantity", Numeric),
    Column("value", Numeric),
    Column("last_cost", Numeric),
    Column("last_on", Date),
    Column("version", Integer),
)  # fmt: skip

stock_moves = Table(
    "stock_moves", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("position", BigInteger),
    Column("product_id", Uuid),
    Column("location_id", Uuid),
    Column("date", Date),
    Column("kind", Text),
    Column("quantity", Numeric),
    Column("value", Numeric),
    Column("unit_cost", Numeric),
    Column("source_type", Text),
    Column("source_id", Uuid),
    Column("source_line_id", Uuid),
    Column("entry_id", Uuid),
    Column("line_no", Integer),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip

reservations = Table(
    "reservations", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("product_id", Uuid),
    Column("location_id", Uuid),
    Column("state", Text),
    Column("quantity", Numeric),
    Column("open_quantity", Numeric),
    Column("expires_at", DateTime(timezone=True)),
    Column("source_type", Text),
    Column("source_id", Uuid),
    Column("source_line_id", Uuid),
    Column("reference", Text),
    Column("external_id", Text),
    Column("closed_at", DateTime(timezone=True)),
    Column("version", Integer),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip

incoming_stock = Table(
    "incoming_stock", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("source_id", Uuid, primary_key=True),
    Column("product_id", Uuid, primary_key=True),
    Column("location_id", Uuid, primary_key=True),
    Column("source_type", Text),
    Column("quantity", Numeric),
    Column("expected_on", Date),
)  # fmt: skip

stock_adjustments = Table(
    "stock_adjustments", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("number", Text),
    Column("date", Date),
    Column("accounting_date", Date),
    Column("reason", Text),
    Column("text", Text),
    Column("value", Numeric),
    Column("line_count", Integer),
    Column("entry_id", Uuid),
    Column("external_id", Text),
    Column("version", Integer),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip

stock_adjustment_lines = Table(
    "stock_adjustment_lines", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("adjustment_id", Uuid),
    Column("line_no", Integer),
    Column("product_id", Uuid),
    Column("location_id", Uuid),
    Column("quantity", Numeric),
    Column("unit_cost", Numeric),
    Column("value", Numeric),
)  # fmt: skip

cost_corrections = Table(
    "cost_corrections", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("number", Text),
    Column("date", Date),
    Column("accounting_date", Date),
    Column("effective_from", Date),
    Column("source_type", Text),
    Column("source_id", Uuid),
    Column("source_number", Text),
    Column("currency", Text),
    Column("value", Numeric),
    Column("line_count", Integer),
    Column("entry_id", Uuid),
    Column("version", Integer),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip

cost_correction_lines = Table(
    "cost_correction_lines", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("correction_id", Uuid, primary_key=True),
    Column("move_id", Uuid, primary_key=True),
    Column("product_id", Uuid),
    Column("amount", Numeric),
)  # fmt: skip
