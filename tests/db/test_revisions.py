"""What the files are called is what the migrations in them say."""

from alembic.script import ScriptDirectory

from db.migrations import alembic_config
from db.revisions import head, known_revisions


def test_files_are_named_for_the_revisions_in_them() -> None:
    scripts = ScriptDirectory.from_config(alembic_config())
    assert list(known_revisions()) == [one.revision for one in scripts.walk_revisions()][::-1]
    assert head() == scripts.get_current_head()
