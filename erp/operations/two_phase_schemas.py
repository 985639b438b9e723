"""Databases and distributed transactions on the wire."""

from typing import Literal
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from erp.kernel.text import Reason


class DatabaseView(Struct, frozen=True, kw_only=True):
    """A database tenants can be placed on. While it does not answer, its numbers are null.

    `prepared`: transactions that wait for the end of a distributed one; each keeps its locks meanwhile.
    """

    name: str
    answers: bool
    tenants: int | None
    prepared: int | None
    oldest_prepared_seconds: float | None


class DatabasesView(Struct, frozen=True, kw_only=True):
    """The first one is `main`."""

    data: list[DatabaseView]


class InDoubtView(Struct, frozen=True, kw_only=True):
    """One participant that is prepared. `decision`: what the log says; `none` will become `abort`."""

    id: UUID
    number: int
    coordinator: str
    database: str
    age_seconds: float
    decision: Literal["commit", "abort", "none"]


class InDoubtListView(Struct, frozen=True, kw_only=True):
    """`unreachable`: databases that did not answer, which may hold more."""

    data: list[InDoubtView]
    unreachable: list[str]


class ResolveInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why nobody waits for recovery; kept in the operator's trail."""

    reason: Reason | UnsetType = UNSET


class ResolvedView(Struct, frozen=True, kw_only=True):
    """How the transaction ends, for every participant."""

    id: UUID
    decision: Literal["commit", "abort"]
