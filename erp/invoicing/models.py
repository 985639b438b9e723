"""Customer invoices and credit notes. A posted one is never changed; what is open of it is an open item."""

from sqlalchemy import Boolean, Column, Date, DateTime, Integer, Numeric, Table, Text, Uuid

from db.metadata import metadata

invoices = Table(
    "invoices", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("kind", Text),
    Column("state", Text),
    Column("number", Text),
    Column("party_id", Uuid),
    Column("date", Date),
    Column("due_date", Date),
    Column("accounting_date", Date),
    Column("currency", Text),
    Column("prices_include_tax", Boolean),
    Column("tax_rounding", Text),
    Column("net", Numeric),
    Column("tax", Numeric),
    Column("gross", Numeric),
    Column("line_count", Integer),
    Column("order_id", Uuid),
    Column("credits_id", Uuid),
    Column("entry_id", Uuid),
    Column("text", Text),
    Column("external_id", Text),
    Column("version", Integer),
    Column("created_at", DateTime(timezone=True)),
    Column("posted_at", DateTime(timezone=True)),
)  # fmt: skip

invoice_lines = Table(
    "invoice_lines", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("invoice_id", Uuid, primary_key=True),
    Column("line_no", Integer, primary_key=True),
    Column("product_id", Uuid),
    Column("description", Text),
    Column("quantity", Numeric),
    Column("unit_code", Text),
    Column("unit_price", Numeric),
    Column("discount_percent", Numeric),
    Column("tax_group_id", Uuid),
    Column("tax_rate", Numeric),
    Column("net", Numeric),
    Column("tax", Numeric),
    Column("gross", Numeric),
    Column("account", Text),
    Column("source_line_id", Uuid),
    Column("credits_line_no", Integer),
)  # fmt: skip

invoice_reminders = Table(
    "invoice_reminders", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("invoice_id", Uuid),
    Column("level", Integer),
    Column("noted_on", Date),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip
