"""From the bytes of a body to an input Struct, and from what is wrong with them to a problem with a pointer."""

import re
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import inspect

from db.errors import DomainError
from erp.http.errors import AmountMustBeString, InvalidJson, MissingField, UnsupportedMediaType
from erp.http.strict_json import escape_pointer, parse
from erp.kernel.errors import Invalid, InvalidAmount, UnknownField

T = TypeVar("T")

#: Bytes a JSON body may have.
MAX_BODY = 1024 * 1024

_JSON = re.compile(rb'application/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?', re.IGNORECASE)

_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
_MISSING = re.compile(r"Object missing required field `(.*)`")
_WHERE = re.compile(r"(?s)(.*?)(?: - at (?:`key` in )?`\$(.*)`)?")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_ENUM = "Invalid enum value"
_NUMBER = re.compile(r"Expected `str.*`, got `(int|float)`")


def check_json(content_type: bytes | None, content_encoding: bytes | None = None) -> None:
    """Raises UnsupportedMediaType unless the headers announce plain JSON in UTF-8."""
    if content_type != b"application/json" and not _JSON.fullmatch(content_type or b""):
        raise UnsupportedMediaType(
            "The body must be application/json in UTF-8.", received=(content_type or b"").decode("latin-1")[:100]
        )
    if content_encoding is not None and content_encoding.lower() != b"identity":
        raise UnsupportedMediaType("The body must not be compressed or otherwise encoded.")


class BodyDecoder(Generic[T]):
    """Decodes bodies of one input type. Raises the errors of `strict_json.parse` and the ones below.

    UnknownField, MissingField, AmountMustBeString, InvalidAmount and Invalid carry the JSON pointer of the
    first offending field.
    """

    __slots__ = ("type",)

    def __init__(self, type: type[T]) -> None:
        self.type: Any = type

    def __call__(self, raw: bytes) -> T:
        return self.convert(parse(raw))

    def convert(self, tree: Any) -> T:
        """The input from a value that `parse` returned."""
        try:
            value: T = msgspec.convert(tree, self.type, strict=True)
        except msgspec.ValidationError as error:
            raise self._explain(str(error), tree) from None
        return value

    def _explain(self, message: str, tree: Any) -> DomainError:
        match = _WHERE.fullmatch(message)
        what, path = (match[1], match[2] or "") if match else (message, "")
        steps = [name or index for name, index in _STEP.findall(path)]
        pointer = "".join("/" + escape_pointer(step) for step in _concrete(steps, tree))
        root = inspect.type_info(self.type)
        if found := _UNKNOWN.fullmatch(what):
            return UnknownField(
                f"There is no field `{found[1]}` here.", pointer=f"{pointer}/{escape_pointer(found[1])}",
                known=_fields(root, steps),
            )  # fmt: skip
        if found := _MISSING.fullmatch(what):
            return MissingField(
                f"The field `{found[1]}` is required.", pointer=f"{pointer}/{escape_pointer(found[1])}"
            )
        if not steps and not isinstance(tree, dict | list):
            return InvalidJson(what + ".")
        kind = _kind(root, steps)
        if kind and _NUMBER.fullmatch(what):
            return AmountMustBeString(f"Send this {kind} as a string.", pointer=pointer)
        if kind and "matching regex" in what:
            return InvalidAmount(pointer=pointer, hint=_description(root, steps))
        if what.startswith(_ENUM):
            return Invalid(what + ".", pointer=pointer, known=_choices(root, steps))
        return Invalid(what + ".", pointer=pointer, hint=_description(root, steps))


def _concrete(steps: list[str], tree: Any) -> Iterator[str]:
    """The steps as long as they can be followed: msgspec writes `[...]` for the key of a mapping."""
    for step in steps:
        if step == "...":
            return
        yield step


def _at(node: inspect.Type, steps: list[str]) -> Iterator[inspect.Type]:
    """Every type a path may lead to (a union has several)."""
    if isinstance(node, inspect.UnionType):
        for option in node.types:
            yield from _at(option, steps)
    elif isinstance(node, inspect.Metadata) and (steps or isinstance(node.type, inspect.UnionType)):
        yield from _at(node.type, steps)
    elif not steps:
        yield node
    elif isinstance(node, inspect.StructType):
        for field in node.fields:
            if field.encode_name == steps[0]:
                yield from _at(field.type, steps[1:])
    elif isinstance(node, inspect.ListType | inspect.VarTupleType | inspect.SetType):
        yield from _at(node.item_type, steps[1:])
    elif isinstance(node, inspect.DictType):
        yield from _at(node.value_type, steps[1:])


def _kind(root: inspect.Type, steps: list[str]) -> str | None:
    """ "amount", "price", "quantity", ... for a field of such a type, else None."""
    for node in _at(root, steps):
        if isinstance(node, inspect.Metadata) and "kind" in (node.extra or {}):
            return str((node.extra or {})["kind"])
    return None


def _fields(root: inspect.Type, steps: list[str]) -> list[str]:
    structs = [node for node in _at(root, steps) if isinstance(node, inspect.StructType)]
    return sorted({field.encode_name for node in structs for field in node.fields})


def _choices(root: inspect.Type, steps: list[str]) -> list[Any]:
    """What a field of named values takes."""
    found: set[Any] = set()
    for node in _at(root, steps):
        bare = node.type if isinstance(node, inspect.Metadata) else node
        if isinstance(bare, inspect.LiteralType):
            found.update(bare.values)
    return sorted(found, key=str)


def _description(root: inspect.Type, steps: list[str]) -> str | None:
    for node in _at(root, steps):
        if isinstance(node, inspect.Metadata) and (text := (node.extra_json_schema or {}).get("description")):
            return str(text)
    return None
