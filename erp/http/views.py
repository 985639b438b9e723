"""What a list route's records are, read off the route itself."""

from functools import lru_cache
from typing import Any, get_args

import msgspec


@lru_cache(maxsize=4096)
def record_of(handler: Any) -> type[msgspec.Struct] | None:
    """`OrderView` of a handler that returns `Reply[Page[OrderView]]`; None when it does not say."""
    [page, *_] = get_args(handler.parsed_fn_signature.return_type.annotation) or (None,)
    [record, *_] = get_args(page) or (None,)
    return record if isinstance(record, type) and issubclass(record, msgspec.Struct) else None
