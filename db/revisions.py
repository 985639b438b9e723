"""The schema revisions this build has migrations for, by the names of their files.

Every process asks for them at its start, and importing Alembic to be told takes a quarter of a second.
"""

from pathlib import Path

_VERSIONS = Path(__file__).parent / "migrations" / "versions"


def known_revisions() -> tuple[str, ...]:
    """In the order in which they follow each other: `0002_agreement.py` is revision 0002."""
    return tuple(sorted(file.name.partition("_")[0] for file in _VERSIONS.glob("[0-9]*_*.py")))


def head() -> str:
    """The revision this build expects."""
    return known_revisions()[-1]
