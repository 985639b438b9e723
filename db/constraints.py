"""From the name of a violated database constraint to the error a client sees."""

import re
from dataclasses import dataclass
from typing import Any

from psycopg import errors as pg

from db.errors import ConstraintRefused, DomainError, Duplicate, UnknownReference


@dataclass(frozen=True, slots=True)
class Translation:
    error: type[DomainError]
    arguments: dict[str, Any]


_translations: dict[str, Translation] = {}


def on_violation(constraint: str, error: type[DomainError], **arguments: Any) -> None:
    """Register what a violation of `constraint` means to a client; slices call this in errors.py."""
    _translations[constraint] = Translation(error, arguments)


def translation_of(constraint: str) -> Translation | None:
    """What was registered for the constraint."""
    return _translations.get(constraint)


def translate(violation: pg.IntegrityError) -> DomainError:
    """The client's error for a violated constraint; an unregistered one still is a 4xx that names it."""
    name = violation.diag.constraint_name or ""
    if known := translation_of(name):
        return known.error(**known.arguments)
    if isinstance(violation, pg.ForeignKeyViolation):
        return UnknownReference(**_columns(violation), constraint=name)
    if isinstance(violation, pg.UniqueViolation):
        return Duplicate(**_columns(violation), constraint=name)
    return ConstraintRefused(constraint=name)


def _columns(violation: pg.IntegrityError) -> dict[str, Any]:
    # "Key (tenant_id, code)=(…, A) already exists.": only the names go out, never values of other rows.
    found = re.match(r"Key \(([^)]*)\)=", violation.diag.message_detail or "")
    fields = [column.strip() for column in found[1].split(",")] if found else []
    return {"fields": [field for field in fields if field != "tenant_id"]}
