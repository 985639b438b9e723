"""Number series and the numbers that were given up with a reason."""

from sqlalchemy import BigInteger, Column, DateTime, Integer, Table, Text, Uuid

from db.metadata import metadata

number_series = Table(
    "number_series", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("series", Text, primary_key=True),
    Column("year", Integer, primary_key=True),
    Column("prefix", Text),
    Column("last_number", BigInteger),
)  # fmt: skip

number_voids = Table(
    "number_voids", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("series", Text, primary_key=True),
    Column("year", Integer, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("reason", Text),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip
