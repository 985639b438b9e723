"""Who runs the processes: never root where it can be helped. PostgreSQL refuses it altogether."""

import os
import pwd
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SERVERS = ("postgres", "nobody")
APPLICATION = ("nobody",)


@dataclass(frozen=True, slots=True)
class Account:
    """An unprivileged account that root hands processes to."""

    name: str
    uid: int
    gid: int

    def owns(self, *paths: Path) -> None:
        """Give existing files or folders to this account."""
        for path in paths:
            os.chown(path, self.uid, self.gid)

    def can_pass(self, folder: Path) -> bool:
        """True when this account may go through the folder."""
        return self._allowed(folder, owner=stat.S_IXUSR, others=stat.S_IXOTH)

    def can_read(self, path: Path) -> bool:
        """True when every folder down to `path` lets this account through and `path` itself can be read."""
        resolved = path.resolve()
        through = all(self.can_pass(folder) for folder in resolved.parents)
        return through and self._allowed(resolved, owner=stat.S_IRUSR, others=stat.S_IROTH)

    def _allowed(self, path: Path, *, owner: int, others: int) -> bool:
        found = path.stat()
        return bool(found.st_mode & (owner if found.st_uid == self.uid else others))


def service_account() -> Account | None:
    """The account for PostgreSQL, Redis, PgBouncer and nginx when we are root; None for ordinary users."""
    account = _first(SERVERS)
    if account is None and os.geteuid() == 0:
        raise LookupError(f"none of the accounts {', '.join(SERVERS)} exists to run the servers as")
    return account


def application_account(needed: Iterable[Path]) -> Account | None:
    """The account for our own Python processes: not the one that owns the database's files.

    None for ordinary users, and for root where the account cannot read what it `needed` (an interpreter or
    a checkout inside root's home).
    """
    account = _first(APPLICATION)
    if account is None or not all(account.can_read(path) for path in needed):
        return None
    return account


def _first(names: Iterable[str]) -> Account | None:
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in names:
        if name in known:
            return Account(name, known[name].pw_uid, known[name].pw_gid)
    return None
