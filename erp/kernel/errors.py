"""Refusals every slice shares. A slice's own refusals are subclasses of DomainError in its errors.py."""

from db.errors import DomainError, Duplicate, UnknownReference

__all__ = [
    "DomainError",
    "Duplicate",
    "Invalid",
    "InvalidAmount",
    "InvalidCursor",
    "InvalidState",
    "LimitExceeded",
    "NotFound",
    "UnknownField",
    "UnknownReference",
]


class NotFound(DomainError):
    """No such record in this tenant; the answer is the same for a record of another tenant.

    Fix: check the identifier and the path.
    """

    code = "not-found"
    title = "Not found"
    status = 404


class InvalidState(DomainError):
    """The document's state does not allow this step; nothing was changed.

    Fix: read the document, then choose a step its state allows.
    """

    code = "invalid-state"
    title = "The document's state does not allow this"
    status = 409


class Invalid(DomainError):
    """A field or parameter has a value outside what it accepts; `pointer` names it.

    Fix: correct the field that `pointer` names.
    """

    code = "invalid-value"
    title = "A value is not valid"
    status = 422


class InvalidAmount(DomainError):
    """An amount, price or quantity is not a plain decimal string within its range.

    Fix: send digits with an optional decimal point, such as "1249.90": no exponent, no thousands
    separator, no NaN or Infinity, no minus zero, no more decimals than the field or currency has.
    """

    code = "invalid-amount"
    title = "The amount is not valid"
    status = 422


class UnknownField(DomainError):
    """The request names a field, filter, sort key or parameter that this operation does not have.

    Fix: remove it, or see the operation in the API reference for the names it accepts. The tenant is
    never named in a request: it follows from the credential.
    """

    code = "unknown-field"
    title = "The field is not known"
    status = 422


class LimitExceeded(DomainError):
    """A page, list or batch is larger than the operation accepts.

    Fix: ask for less at a time and follow `next_cursor`, or split the request.
    """

    code = "limit-exceeded"
    title = "The request asks for too much at once"
    status = 422


class InvalidCursor(DomainError):
    """The cursor was not issued for this list with these filters and this sort order, or was altered.

    Fix: use `next_cursor` unchanged with the same filters and sort, or start again without a cursor.
    """

    code = "invalid-cursor"
    title = "The cursor is not valid for this list"
    status = 400
