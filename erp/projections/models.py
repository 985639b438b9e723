"""The read models' tables, and how far each consumer is with each tenant."""

from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Integer, Numeric, Table, Text, Uuid

from db.metadata import metadata

event_generations = Table(
    "event_generations", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("consumer", Text, primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column("state", Text),
    Column("complete", Boolean),
    Column("applied", BigInteger),
    Column("position", BigInteger),
    Column("event_at", DateTime(timezone=True)),
    Column("started_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
)  # fmt: skip

event_failures = Table(
    "event_failures", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("consumer", Text),
    Column("event_id", Uuid),
    Column("type", Text),
    Column("position", BigInteger),
    Column("state", Text),
    Column("attempts", Integer),
    Column("retry_at", DateTime(timezone=True)),
    Column("error_code", Text),
    Column("error_detail", Text),
    Column("version", Integer),
    Column("created_at", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True)),
)  # fmt: skip

sales_by_day = Table(
    "sales_by_day", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("documents", Integer),
    Column("net", Numeric),
    Column("tax", Numeric),
    Column("gross", Numeric),
)  # fmt: skip

sales_by_product = Table(
    "sales_by_product", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("product_id", Uuid, primary_key=True),
    Column("quantity", Numeric),
    Column("net", Numeric),
)  # fmt: skip

sales_by_customer = Table(
    "sales_by_customer", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("party_id", Uuid, primary_key=True),
    Column("documents", Integer),
    Column("net", Numeric),
    Column("tax", Numeric),
    Column("gross", Numeric),
)  # fmt: skip

stock_movements_by_day = Table(
    "stock_movements_by_day", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("product_id", Uuid, primary_key=True),
    Column("location_id", Uuid, primary_key=True),
    Column("id", Uuid),
    Column("received", Numeric),
    Column("delivered", Numeric),
    Column("returned", Numeric),
    Column("adjusted", Numeric),
    Column("value", Numeric),
)  # fmt: skip

receivables = Table(
    "receivables", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column("item_id", Uuid, primary_key=True),
    Column("party_id", Uuid),
    Column("due_date", Date),
    Column("open_amount", Numeric),
    Column("version", Integer),
)  # fmt: skip
