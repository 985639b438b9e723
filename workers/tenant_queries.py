"""What jobs ask of one tenant."""

from sqlalchemy import literal_column, select

from db.statement import TENANT, Statement
from erp.accounting.models import periods

PERIODS_WITHOUT_SNAPSHOT = Statement(
    select(periods.c.id)
    .where(
        periods.c.tenant_id == TENANT, periods.c.state != literal_column("'open'"), periods.c.snapshot_at.is_(None)
    )
    .order_by(periods.c.start_date)
)  # fmt: skip
