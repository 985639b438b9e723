"""What can be configured while the fleet runs: typed keys, declared in code beside their use.

A key is declared where the API also imports it (below `workers`): the API refuses names it does not know.
Values travel as JSON; a Decimal as a string, so that no digit is lost on the way.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Generic, Literal, TypeVar, cast

Value = int | float | str | bool | Decimal
T = TypeVar("T", bound=Value)

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
KindName = Literal["integer", "number", "string", "boolean", "decimal"]
_KINDS: Final[dict[type[Value], KindName]] = {
    int: "integer", float: "number", str: "string", bool: "boolean", Decimal: "decimal",
}  # fmt: skip


class DuplicateKey(Exception):
    """Two declarations of one name."""


class InvalidValue(ValueError):
    """A value the key does not take; `code` is wrong_type, out_of_range or not_a_choice."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Key(Generic[T]):
    """One setting. Declaring it registers it in KEYS; the default is what holds where nobody has set it.

    `minimum` and `maximum` are inclusive; for strings they bound the length. Only `per_tenant` keys can be set
    by a tenant, whose value then hides the system's.
    """

    name: str
    kind: type[T]
    default: T
    describe: str
    unit: str = ""
    minimum: T | int | None = None
    maximum: T | int | None = None
    choices: Sequence[T] = ()
    per_tenant: bool = False
    #: Nobody sets it: it follows from an agreement of the fleet; see `fleet.features`.
    by_agreement: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is no name of a key: lower-case words with a dot between them.")
        if self.name in KEYS:
            raise DuplicateKey(self.name)
        self.parse(self.encode(self.default))  # a default out of its own range is a mistake found at import
        KEYS[self.name] = self

    @property
    def kind_name(self) -> KindName:
        """As JSON Schema names it: integer, number, string, boolean; `decimal` for exact ones."""
        return _KINDS[cast(type[Value], self.kind)]

    def parse(self, given: object) -> T:
        """The value a JSON value stands for. Raises InvalidValue."""
        value = self._typed(given)
        if self.choices and value not in self.choices:
            raise InvalidValue("not_a_choice", f"One of {', '.join(str(each) for each in self.choices)}.")
        measured = cast(Any, len(value) if isinstance(value, str) else value)
        if self.minimum is not None and measured < self.minimum:
            raise InvalidValue("out_of_range", f"At least {self.minimum}{self._measure}.")
        if self.maximum is not None and measured > self.maximum:
            raise InvalidValue("out_of_range", f"At most {self.maximum}{self._measure}.")
        return value

    def encode(self, value: T) -> int | float | str | bool:
        """The value as JSON shows it."""
        return str(value) if isinstance(value, Decimal) else value

    @property
    def _measure(self) -> str:
        unit = "characters" if self.kind is str else self.unit
        return f" {unit}" if unit else ""

    def _typed(self, given: object) -> T:
        kind = cast(type[Value], self.kind)
        wrong = InvalidValue("wrong_type", f"The value is of type {self.kind_name}.")
        if kind is Decimal:
            return cast(T, _decimal(given, wrong))
        # True is an int to Python and 1.0 no integer to a reader: each type takes what JSON calls by its name.
        if isinstance(given, bool) is not (kind is bool):
            raise wrong
        if kind is float:
            return cast(T, _finite(given, wrong))
        if not isinstance(given, kind):
            raise wrong
        return cast(T, given)


def _finite(given: object, wrong: InvalidValue) -> float:
    if not isinstance(given, int | float):
        raise wrong
    try:
        value = float(given)
    except OverflowError:  # an integer of more digits than any float
        raise wrong from None
    if not math.isfinite(value):
        raise wrong
    return value


def _decimal(given: object, wrong: InvalidValue) -> Decimal:
    if isinstance(given, Decimal):
        return given
    if not isinstance(given, str) or len(given) > 40 or not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", given, re.ASCII):
        raise wrong
    try:
        return Decimal(given)
    except InvalidOperation:  # pragma: no cover  # the pattern admits nothing Decimal refuses
        raise wrong from None


#: Every declared key by its name.
KEYS: Final[dict[str, Key[Any]]] = {}
