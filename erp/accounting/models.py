"""The ledger's tables. Amounts are signed: debit above zero, credit below."""

from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Integer, Numeric, Table, Text, Uuid

from db.metadata import metadata

accounts = Table(
    "accounts", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("id", Uuid),
    Column("name", Text),
    Column("type", Text),
    Column("active", Boolean),
    Column("external_id", Text),
    Column("version", Integer),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip

account_roles = Table(
    "account_roles", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("role", Text, primary_key=True),
    Column("account_code", Text),
)  # fmt: skip

journals = Table(
    "journals", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("name", Text),
)  # fmt: skip

periods = Table(
    "periods", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("start_date", Date),
    Column("end_date", Date),
    Column("state", Text),
    Column("reason", Text),
    Column("snapshot_at", DateTime(timezone=True)),
    Column("version", Integer),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip

journal_entries = Table(
    "journal_entries", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("number", Text),
    Column("journal", Text),
    Column("period_id", Uuid),
    Column("date", Date),
    Column("document_date", Date),
    Column("source_type", Text),
    Column("source_id", Uuid),
    Column("text", Text),
    Column("line_count", Integer),
    Column("reverses_id", Uuid),
    Column("external_id", Text),
    Column("created_by", Uuid),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip

journal_lines = Table(
    "journal_lines", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("entry_id", Uuid, primary_key=True),
    Column("line_no", Integer, primary_key=True),
    Column("date", Date),
    Column("account_code", Text),
    Column("amount", Numeric),
    Column("currency", Text),
    Column("rate", Numeric),
    Column("base_amount", Numeric),
    Column("party_id", Uuid),
    Column("product_id", Uuid),
    Column("text", Text),
    Column("position", BigInteger),
)  # fmt: skip

balance_snapshots = Table(
    "balance_snapshots", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("period_id", Uuid, primary_key=True),
    Column("account_code", Text, primary_key=True),
    Column("debit", Numeric),
    Column("credit", Numeric),
)  # fmt: skip

open_items = Table(
    "open_items", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("party_id", Uuid),
    Column("side", Text),
    Column("direction", Text),
    Column("document_type", Text),
    Column("document_id", Uuid),
    Column("document_number", Text),
    Column("date", Date),
    Column("due_date", Date),
    Column("currency", Text),
    Column("amount", Numeric),
    Column("open_amount", Numeric),
    Column("last_allocated_on", Date),
    Column("settled_on", Date),
    Column("version", Integer),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip

allocations = Table(
    "allocations", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("open_item_id", Uuid),
    Column("counter_type", Text),
    Column("counter_id", Uuid),
    Column("amount", Numeric),
    Column("date", Date),
    Column("entry_id", Uuid),
    Column("pair_id", Uuid),
    Column("reverses_id", Uuid),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip
