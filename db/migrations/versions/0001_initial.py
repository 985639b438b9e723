"""The first schema: the files of sql/0001 in the order of their names."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None

_FILES = Path(__file__).parent.parent / "sql" / "0001"


def upgrade() -> None:
    connection = op.get_bind().connection.cursor()
    for file in sorted(_FILES.glob("*.sql")):
        connection.execute(file.read_text())


def downgrade() -> None:
    raise RuntimeError("The first schema is not taken back; drop the database instead.")
