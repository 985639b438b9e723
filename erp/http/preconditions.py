"""Versions in headers: ETag out, If-Match in. The tag of version 3 is `"3"`."""

import re
from typing import Literal

from erp.http.errors import InvalidPrecondition, PreconditionRequired
from erp.http.request import ApiRequest

MatchRule = Literal["required", "accepted", "none"]

_STRONG_TAG = re.compile(rb'"(0|[1-9][0-9]{0,9})"')


def etag(version: int) -> str:
    return f'"{version}"'


def expected_version(request: ApiRequest, rule: MatchRule, *, first: int = 1) -> int | None:
    """The version If-Match names. `first`: 0 for what has an ETag before anybody has set it.

    Raises PreconditionRequired, InvalidPrecondition.
    """
    value = request.context.headers.get(b"if-match")
    if value is None:
        if rule == "required":
            raise PreconditionRequired
        return None
    if rule == "none":
        raise InvalidPrecondition("This operation has no version to compare with.")
    found = _STRONG_TAG.fullmatch(value)
    if found is None or int(found[1]) < first:
        raise InvalidPrecondition('If-Match takes one strong entity tag, such as `"3"`.')
    return int(found[1])
