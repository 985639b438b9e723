"""Refusals that say which part of a compound request they concern."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any

from psycopg import Error

from db.errors import DomainError


@contextmanager
def located(pointer: str, *, fields_only: bool = False, **facts: Any) -> Iterator[None]:
    """Prefix the pointer of a refusal raised inside, and add facts to it.

    `fields_only`: a refusal that names no field stays as it is, because it concerns the whole. A database error
    becomes a refusal only further out; it carries its place until `placed` is asked.
    """
    try:
        yield
    except DomainError as refusal:
        _place(refusal, pointer, facts, fields_only)
        raise
    except Error as error:
        error.__dict__.setdefault("places", []).append((pointer, facts, fields_only))
        raise


def placed(refusal: DomainError) -> DomainError:
    """The refusal, located like the database error it was made of."""
    cause = refusal.__cause__
    for pointer, facts, fields_only in getattr(cause, "__dict__", {}).pop("places", ()):
        _place(refusal, pointer, facts, fields_only)
    return refusal


def moved(refusal: DomainError, pointer: str) -> DomainError:
    """The refusal of a request as that of a part of a larger one: a copy when it names a field, else itself."""
    if refusal.pointer is None:
        return refusal
    found = copy(refusal)
    _place(found, pointer, {}, fields_only=True)
    return found


def _place(refusal: DomainError, pointer: str, facts: dict[str, Any], fields_only: bool) -> None:
    if refusal.pointer is not None or not fields_only:
        refusal.pointer = pointer + (refusal.pointer or "")
    refusal.facts.update(facts)
