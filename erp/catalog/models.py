"""Units of measure, categories, products and the units a product also comes in."""

from sqlalchemy import BigInteger, Boolean, Column, Computed, DateTime, Integer, Numeric, Table, Text, Uuid

from db.metadata import metadata

units = Table(
    "units", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("code", Text),
    Column("name", Text),
    Column("decimals", Integer),
    Column("active", Boolean),
    Column("external_id", Text),
    Column("version", Integer),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip

categories = Table(
    "categories", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("code", Text),
    Column("name", Text),
    Column("parent_id", Uuid),
    Column("active", Boolean),
    Column("external_id", Text),
    Column("version", Integer),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip

products = Table(
    "products", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("code", Text),
    Column("name", Text),
    Column("kind", Text),
    Column("unit_id", Uuid),
    Column("category_id", Uuid),
    Column("sale_price", Numeric),
    Column("tax_group_id", Uuid),
    Column("reorder_point", Numeric),
    Column("barcode", Text),
    Column("active", Boolean),
    Column("external_id", Text),
    Column("version", Integer),
    Column("created_at", DateTime(timezone=True)),
    Column("search_name", Text, Computed("lower(name)")),
)  # fmt: skip

product_units = Table(
    "product_units", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("product_id", Uuid, primary_key=True),
    Column("unit_id", Uuid, primary_key=True),
    Column("numerator", BigInteger),
    Column("denominator", BigInteger),
)  # fmt: skip
