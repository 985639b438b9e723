"""Payments. What they settle is told by the allocations of the ledger's open items."""

from sqlalchemy import Column, Date, DateTime, Integer, Numeric, Table, Text, Uuid

from db.metadata import metadata

payments = Table(
    "payments", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("number", Text),
    Column("direction", Text),
    Column("side", Text),
    Column("state", Text),
    Column("party_id", Uuid),
    Column("date", Date),
    Column("accounting_date", Date),
    Column("currency", Text),
    Column("amount", Numeric),
    Column("unallocated", Numeric),
    Column("method", Text),
    Column("account_code", Text),
    Column("reference", Text),
    Column("entry_id", Uuid),
    Column("reversal_entry_id", Uuid),
    Column("reversal_reason", Text),
    Column("external_id", Text),
    Column("version", Integer),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip
