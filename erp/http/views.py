"""Which Struct a function that builds views returns."""

from collections.abc import Callable
from functools import cache
from typing import Any, get_type_hints

import msgspec


@cache
def struct_of(view: Callable[..., Any]) -> type[msgspec.Struct]:
    """The view class of a class, a classmethod or a function with a return annotation. Raises TypeError."""
    if isinstance(view, type):
        found: Any = view
    elif isinstance(owner := getattr(view, "__self__", None), type):
        found = owner
    else:
        found = get_type_hints(view).get("return")
    if not (isinstance(found, type) and issubclass(found, msgspec.Struct)):
        raise TypeError(f"{view!r} needs a Struct as its return annotation")
    return found
