"""JSON without surprises: one value, UTF-8, no duplicate keys, bounded depth, texts safe to show and store.

Everything is decided by passes in C over the whole body; Python code per value runs only to name the
culprit after something was found.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, cast
from unicodedata import category, is_normalized, normalize

import msgspec

from erp.http.errors import AmountMustBeString, DuplicateKey, InvalidJson, InvalidText, JsonTooDeep

#: Levels of nested arrays and objects.
MAX_DEPTH = 32

_decode = msgspec.json.Decoder().decode
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_CONTAINERS = (dict, list)


def _ranges(code_points: Iterator[int]) -> str:
    """A regular expression class body for the code points."""
    parts: list[list[int]] = []
    for point in code_points:
        if parts and parts[-1][1] == point - 1:
            parts[-1][1] = point
        else:
            parts.append([point, point])
    return "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in parts)


# Bidi and zero-width controls, soft hyphen, line separators, fillers, tags, non-characters: all of them
# invisible, so that two texts could look alike and differ.
_INVISIBLE = (
    "\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f"
    "\\u3164\\ufeff\\uffa0\\ufff0-\\ufffb\\ufffe\\uffff\\U000e0000-\\U000e00ff"
)
_CONTROL = "\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f"
# No script has its combining marks above this point; scanning the rest would only slow the start.
_MARKS = [point for point in range(0x1F000) if category(chr(point)) in ("Mn", "Me")]
_MARKS_LOW = _ranges(point for point in _MARKS if point < 0x10000)
_MARKS_HIGH = _ranges(point for point in _MARKS if point >= 0x10000)
_FORBIDDEN = re.compile(f"[{_CONTROL}{_INVISIBLE}]|(?:[{_MARKS_LOW}]|[{_MARKS_HIGH}]){{9}}")
#: Anything that is forbidden or may become so in company: one character class, so one fast pass.
_SUSPECT = re.compile(f"[{_CONTROL}{_INVISIBLE}{_MARKS_LOW}\\U00010000-\\U0001efff]")
_PLAIN = bytes(range(0x20, 0x7F)) + b"\n\t"


def parse(raw: bytes) -> Any:
    """The JSON value in `raw`, its texts in Unicode normalization form C.

    Raises InvalidJson, JsonTooDeep, DuplicateKey, InvalidText, AmountMustBeString (a number beyond any range).
    """
    tree = _parse(raw)
    keys = _count_keys(tree)
    # A colon outside strings stands behind every key, so fewer keys than colons means one came twice.
    if raw.count(b":") != keys and _without_strings(raw).count(b":") != keys:
        raise DuplicateKey(pointer=_duplicate(raw))
    if b"\\" not in raw:
        # Raw control characters are not JSON; DEL is the one the grammar lets through.
        if raw.isascii() and b"\x7f" not in raw:
            return tree
        # Line ends between values are no text.
        return _checked_texts(tree, raw.translate(None, _PLAIN + b"\r"))
    encoded = msgspec.json.encode(tree)
    control = b"\\u00" in encoded or b"\\r" in encoded or b"\\b" in encoded or b"\\f" in encoded
    return _checked_texts(tree, b"\x00" if control else encoded.translate(None, _PLAIN))


def _checked_texts(tree: Any, unusual: bytes) -> Any:
    """The tree with its texts checked and normalized; `unusual` is what of them is not plain ASCII."""
    if not unusual:
        return tree
    characters = unusual.decode()
    if not _SUSPECT.search(characters) and is_normalized("NFC", characters):
        return tree
    _refuse_text(tree)
    return _normalized(tree)


def _parse(raw: bytes) -> Any:
    try:
        return _decode(raw)
    except msgspec.ValidationError:
        raise AmountMustBeString("A number is out of range; amounts are strings.") from None
    except UnicodeDecodeError:
        raise InvalidJson("The body is not valid UTF-8.") from None
    except msgspec.DecodeError as error:
        raise InvalidJson(str(error) + ".") from None
    except RecursionError:
        raise JsonTooDeep(maximum=MAX_DEPTH) from None
    except ValueError:
        # Python refuses to read an integer of more than 4,300 digits.
        raise AmountMustBeString("A number has too many digits; amounts are strings.") from None


def _count_keys(tree: Any) -> int:
    """Keys of all objects, level by level. Raises JsonTooDeep."""
    keys = 0
    level = [tree] if tree.__class__ in _CONTAINERS else []
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for node in level:
            if node.__class__ is dict:
                keys += len(node)
                below += [child for child in node.values() if child.__class__ in _CONTAINERS]
            else:
                below += [child for child in node if child.__class__ in _CONTAINERS]
        if not below:
            return keys
        level = below
    raise JsonTooDeep(maximum=MAX_DEPTH)


def _without_strings(raw: bytes) -> bytes:
    if b"\\" in raw:
        return _STRING.sub(b"", raw)
    return b"".join(raw.split(b'"')[::2])


def escape_pointer(key: str) -> str:
    """One reference token of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def _located(tree: Any, pointer: str = "") -> Iterator[tuple[str, str]]:
    """Every text with its pointer; a key counts as a text at its own pointer."""
    if isinstance(tree, str):
        yield pointer, tree
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield pointer, key
            yield from _located(value, f"{pointer}/{escape_pointer(key)}")
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from _located(value, f"{pointer}/{index}")


def _refuse_text(tree: Any) -> None:
    for pointer, text in _located(tree):
        if found := _FORBIDDEN.search(text):
            characters = [f"U+{ord(character):04X}" for character in found[0][:1]]
            raise InvalidText(pointer=pointer, characters=characters, position=found.start())


def _normalized(tree: Any) -> Any:
    if isinstance(tree, str):
        return normalize("NFC", tree)
    if isinstance(tree, list):
        return [_normalized(value) for value in tree]
    if isinstance(tree, dict):
        result = {normalize("NFC", key): _normalized(value) for key, value in tree.items()}
        if len(result) != len(tree):
            raise DuplicateKey("Two keys are equal after Unicode normalization.")
        return result
    return tree


class _Twice(str):
    """A key that appeared twice, in place of the object that holds it."""


def _pairs(pairs: list[tuple[str, Any]]) -> Any:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            return _Twice(key)
        result[key] = value
    return result


def _duplicate(raw: bytes) -> str | None:
    """The pointer of the first key that appears twice."""
    for pointer, text in _located(cast(Any, json.loads(raw, object_pairs_hook=_pairs))):
        if isinstance(text, _Twice):
            return f"{pointer}/{escape_pointer(text)}"
    return None


def check_text(text: str, *, pointer: str, source: str) -> str:
    """A text from outside a body, in normalization form C. Raises InvalidText, which names `pointer` in `source`."""
    if text.isascii() and text.isprintable():
        return text
    if found := _FORBIDDEN.search(text):
        raise InvalidText(
            pointer=pointer, source=source, characters=[f"U+{ord(found[0][0]):04X}"], position=found.start()
        )
    return normalize("NFC", text)
