"""Refusals that say which part of a compound request they concern."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from db.errors import DomainError


@contextmanager
def located(pointer: str, **facts: Any) -> Iterator[None]:
    """Prefix the pointer of a refusal raised inside, and add facts to it."""
    try:
        yield
    except DomainError as refusal:
        refusal.pointer = pointer + (refusal.pointer or "")
        refusal.facts.update(facts)
        raise
