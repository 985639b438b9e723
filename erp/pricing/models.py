"""Tax groups and their dated rates; price lists and what they say."""

from sqlalchemy import Boolean, Column, Date, DateTime, Integer, Numeric, Table, Text, Uuid

from db.metadata import metadata

tax_groups = Table(
    "tax_groups", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("code", Text),
    Column("name", Text),
    Column("active", Boolean),
    Column("external_id", Text),
    Column("version", Integer),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip

tax_rates = Table(
    "tax_rates", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("tax_group_id", Uuid, primary_key=True),
    Column("valid_from", Date, primary_key=True),
    Column("valid_to", Date),
    Column("rate", Numeric),
)  # fmt: skip

price_lists = Table(
    "price_lists", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("code", Text),
    Column("name", Text),
    Column("currency", Text),
    Column("active", Boolean),
    Column("external_id", Text),
    Column("version", Integer),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip

price_list_items = Table(
    "price_list_items", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("price_list_id", Uuid),
    Column("product_id", Uuid),
    Column("min_quantity", Numeric),
    Column("valid_from", Date),
    Column("valid_to", Date),
    Column("unit_price", Numeric),
)  # fmt: skip
