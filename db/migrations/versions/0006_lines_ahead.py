"""Lines ahead of their documents: the files of sql/0006 in the order of their names."""

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"

_FILES = Path(__file__).parent.parent / "sql" / "0006"


def upgrade() -> None:
    connection = op.get_bind().connection.cursor()
    for file in sorted(_FILES.glob("*.sql")):
        connection.execute(file.read_text())


def downgrade() -> None:
    raise RuntimeError("Restore a backup instead: history written since would be lost.")
