"""Statements a pooler prepares on every server connection it opens, run by name from then on.

PgBouncer below 1.21 forgets which client prepared what, so clients cannot prepare. It can run a query on each
new server connection, though: `prepare_statements()` prepares what `prepared_statements` lists there. Names are
made of the text, so that old and new programs agree on them while both run.
"""

import time
from collections.abc import Iterable
from hashlib import sha256

import psycopg

_ADD = (
    "INSERT INTO prepared_statements (name, sql) VALUES (%s, %s)"
    " ON CONFLICT (name) DO UPDATE SET registered_at = clock_timestamp()"
)
#: Programs of the last release may still run; older texts are forgotten.
_FORGET = "DELETE FROM prepared_statements WHERE registered_at < clock_timestamp() - interval '30 days'"


def name_of(positional: bytes) -> bytes:
    """The name under which this text (with $1, $2, ...) is prepared."""
    return b"s_" + sha256(positional).hexdigest()[:24].encode()


def register(dsn: str, texts: Iterable[bytes]) -> int:
    """List the texts for server connections opened from now on; how many there are. Needs the owner."""
    rows = sorted((name_of(text).decode(), text.decode()) for text in texts)
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.executemany(_ADD, rows)
        cursor.execute(_FORGET)
    return len(rows)


class _Missing:
    """After a server connection lacked a name, statements go in full until those connections were replaced."""

    PAUSE = 60.0

    def __init__(self) -> None:
        self._until = 0.0

    def trusted(self) -> bool:
        return time.monotonic() >= self._until

    def noted(self) -> None:
        self._until = time.monotonic() + self.PAUSE

    def forget(self) -> None:
        self._until = 0.0


missing = _Missing()
