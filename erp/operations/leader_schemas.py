"""The lead of the fleet on the wire."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from erp.kernel.text import PositiveCount, Reason

InstanceName = Annotated[
    str, Meta(min_length=1, max_length=128, description="Id or name of an instance.", examples=["coordinator-2"])
]


DatabaseName = Annotated[str, Meta(min_length=1, max_length=63, description="As in the list of databases.")]


class LeadView(Struct, frozen=True, kw_only=True):
    """Who leads the work of one database; `held` is false between two holders.

    `offered_to`: who may take a lead that was handed over, until `offered_until`; then anybody may.
    """

    database: str
    holder: str
    term: int
    since: datetime
    expires_at: datetime
    held: bool
    offered_to: str | None
    offered_until: datetime | None


class LeadsView(Struct, frozen=True, kw_only=True):
    """The first is `main`. `unreachable`: databases that did not answer."""

    data: list[LeadView]
    unreachable: list[str]


class TermView(Struct, frozen=True, kw_only=True):
    """One term of the lead of one database. `ended`: why, null while it lasts.

    `expired`: not renewed in time; `stopped`: its holder ended; `drained`: its holder was taken out; `transferred`:
    `ended_by` handed it over, for `reason`.
    """

    id: UUID
    term: int
    holder: str
    since: datetime
    ended_at: datetime | None
    ended: Literal["expired", "stopped", "drained", "transferred"] | None
    ended_by: str | None
    reason: str | None


class TransferInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The lead of `database` to the coordinator `to`, or to any other. With `term` only if that term still lasts."""

    reason: Reason
    database: DatabaseName = "main"
    to: InstanceName | None = None
    term: PositiveCount | UnsetType = UNSET


class TransferView(Struct, frozen=True, kw_only=True):
    """The term that ended. `offered_to`: who has ten seconds to take the lead; null: any other coordinator."""

    term: int
    holder: str
    offered_to: str | None
