"""Verifications counted and dropped, schedules changed once for each key: the files of sql/0004 by their names."""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"

_FILES = Path(__file__).parent.parent / "sql" / "0004"


def upgrade() -> None:
    connection = op.get_bind().connection.cursor()
    for file in sorted(_FILES.glob("*.sql")):
        connection.execute(file.read_text())


def downgrade() -> None:
    raise RuntimeError("Restore a backup instead: history written since would be lost.")
