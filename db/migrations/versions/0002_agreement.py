"""What the fleet agrees on, and what history owed: the files of sql/0002 in the order of their names."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"

_FILES = Path(__file__).parent.parent / "sql" / "0002"


def upgrade() -> None:
    connection = op.get_bind().connection.cursor()
    for file in sorted(_FILES.glob("*.sql")):
        connection.execute(file.read_text())


def downgrade() -> None:
    raise RuntimeError("Restore a backup instead: history written since would be lost.")
