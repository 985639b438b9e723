"""Jobs, the rows and the log of long jobs, notices, and the slots of the schedule."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Integer, LargeBinary, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from db.metadata import metadata

jobs = Table(
    "jobs", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("queue", Text),
    Column("kind", Text),
    Column("payload", JSONB),
    Column("state", Text),
    Column("phase", Text),  # made of the state by the database: `unfinished` while queued or running, else the state
    Column("priority", Integer),
    Column("attempts", Integer),
    Column("max_attempts", Integer),
    Column("fence", BigInteger),
    Column("lease_until", DateTime(timezone=True)),
    Column("run_at", DateTime(timezone=True)),
    Column("enqueued_at", DateTime(timezone=True)),
    Column("unique_key", Text),
    Column("event_id", Uuid),
    Column("slot", Text),
    Column("correlation_id", Text),
    Column("causation_id", Uuid),
    Column("traceparent", Text),
    Column("progress", JSONB),
    Column("result", JSONB),
    Column("error_code", Text),
    Column("error_detail", Text),
    Column("traceback", Text),
    Column("version", Integer),
    Column("created_at", DateTime(timezone=True)),
    Column("started_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    Column("operation", Boolean),
    Column("done", BigInteger),
    Column("total", BigInteger),
    Column("unit", Text),
    Column("log_lines", Integer),
    Column("result_location", Text),
    Column("cancel_requested_at", DateTime(timezone=True)),
)  # fmt: skip

operation_log = Table(
    "operation_log", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("operation_id", Uuid, primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("at", DateTime(timezone=True)),
    Column("level", Text),
    Column("message", Text),
)  # fmt: skip

job_rows = Table(
    "job_rows", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("job_id", Uuid, primary_key=True),
    Column("row_no", Integer, primary_key=True),
    Column("body", LargeBinary),
    Column("outcome", Text),
    Column("status", Integer),
    Column("answer", JSONB),
)  # fmt: skip

notices = Table(
    "notices", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("kind", Text),
    Column("key", Text),
    Column("title", Text),
    Column("subject_type", Text),
    Column("subject_id", Uuid),
    Column("data", JSONB),
    Column("state", Text),
    Column("acknowledged_at", DateTime(timezone=True)),
    Column("version", Integer),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip

cron_runs = Table(
    "cron_runs", metadata,
    Column("job", Text, primary_key=True),
    Column("slot", DateTime(timezone=True), primary_key=True),
    Column("term", BigInteger),
    Column("holder", Text),
    Column("trigger", Text),
    Column("missed", Integer),
    Column("started_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    Column("affected", BigInteger),
)  # fmt: skip
