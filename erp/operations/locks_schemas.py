"""Locks on the wire."""

from datetime import datetime

import msgspec

from erp.kernel.text import Text


class LockView(msgspec.Struct, frozen=True, kw_only=True):
    """A lock that is held. `holder` is an instance; `expires_in` seconds, renewed while the holder lives."""

    name: str
    kind: str
    holder: str
    since: datetime
    expires_in: float
    waited_for: bool


class LocksView(msgspec.Struct, frozen=True, kw_only=True):
    """Held locks by name. `complete` is false when there were more keys than one listing looks at."""

    data: list[LockView]
    has_more: bool
    next_cursor: str | None
    complete: bool


class ReleaseLockInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`reason` is kept in the audit trail."""

    reason: Text


class ReleasedLockView(msgspec.Struct, frozen=True, kw_only=True):
    """`was_held` is false when the lock had lapsed or been released meanwhile. `lease` names the holding that was
    opened; the same request again opens no later one.
    """

    name: str
    was_held: bool
    reason: str
    lease: str | None = None
