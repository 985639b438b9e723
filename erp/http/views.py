"""What a list route's records are, read off the route itself."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec


@lru_cache(maxsize=4096)
def record_of(handler: Any) -> type[msgspec.Struct] | None:
    """`OrderView` of a handler that returns `Reply[Page[OrderView]]`; None when it does not say."""
    [page, *_] = get_args(handler.parsed_fn_signature.return_type.annotation) or (None,)
    [record, *_] = get_args(page) or (None,)
    return record if isinstance(record, type) and issubclass(record, msgspec.Struct) else None


@lru_cache(maxsize=4096)
def words_of(record: type[msgspec.Struct] | None) -> Mapping[str, tuple[str, ...]]:
    """The fields of a record that hold one of a few words, and which."""
    if record is None:
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for name, hint in get_type_hints(record).items():
        choices = [one for one in (hint, *get_args(hint)) if get_origin(one) is Literal]
        if choices and all(isinstance(word, str) for word in get_args(choices[0])):
            found[name] = get_args(choices[0])
    return found
