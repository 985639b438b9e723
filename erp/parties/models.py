"""Customers and suppliers."""

from sqlalchemy import Boolean, Column, Computed, DateTime, Integer, Numeric, Table, Text, Uuid, column, table
from sqlalchemy.dialects.postgresql import JSONB

from db.metadata import metadata

parties = Table(
    "parties", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("code", Text),
    Column("name", Text),
    Column("is_customer", Boolean),
    Column("is_supplier", Boolean),
    Column("email", Text),
    Column("phone", Text),
    Column("tax_id", Text),
    Column("country", Text),
    Column("payment_terms_days", Integer),
    Column("credit_limit", Numeric),
    Column("price_list_id", Uuid),
    Column("addresses", JSONB),
    Column("contacts", JSONB),
    Column("active", Boolean),
    Column("external_id", Text),
    Column("version", Integer),
    Column("created_at", DateTime(timezone=True)),
    Column("search_name", Text, Computed("lower(name)")),
)  # fmt: skip

#: What a party has to know of a price list; the list itself is made by pricing, which stands above.
known_price_lists = table("price_lists", column("tenant_id", Uuid), column("id", Uuid), column("active", Boolean))
