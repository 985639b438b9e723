"""Refusals that say which part of a compound request they concern."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import Error

from db.errors import DomainError


@contextmanager
def located(pointer: str, **facts: Any) -> Iterator[None]:
    """Prefix the pointer of a refusal raised inside, and add facts to it.

    A database error becomes a refusal only further out; it carries its place until `placed` is asked.
    """
    try:
        yield
    except DomainError as refusal:
        _place(refusal, pointer, facts)
        raise
    except Error as error:
        error.__dict__.setdefault("places", []).append((pointer, facts))
        raise


def placed(refusal: DomainError) -> DomainError:
    """The refusal, located like the database error it was made of."""
    cause = refusal.__cause__
    for pointer, facts in getattr(cause, "__dict__", {}).pop("places", ()):
        _place(refusal, pointer, facts)
    return refusal


def _place(refusal: DomainError, pointer: str, facts: dict[str, Any]) -> None:
    refusal.pointer = pointer + (refusal.pointer or "")
    refusal.facts.update(facts)
