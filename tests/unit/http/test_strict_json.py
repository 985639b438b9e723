"""JSON without surprises: what the parser lets through means one thing only."""

import json
import time
from typing import Any
from unicodedata import is_normalized, normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.errors import DomainError
from erp.http.errors import AmountMustBeString, DuplicateKey, InvalidJson, InvalidText, JsonTooDeep
from erp.http.strict_json import MAX_DEPTH, check_text, parse

FORBIDDEN = [
    "\x00", "\x01", "\x08", "\x0b", "\r", "\x1f", "\x7f", "\x80", "\x9f", "\xad", "\u061c", "\u180e", "\u200b",
    "\u200c", "\u200d", "\u200e", "\u200f", "\u2028", "\u2029", "\u202a", "\u202e", "\u2060", "\u2066", "\u2069",
    "\u3164", "\ufeff", "\ufff9", "\uffff", "\U000e0041",
]  # fmt: skip

plain_text = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), max_size=30)
trees = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | plain_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(plain_text, inner, max_size=4),
    max_leaves=20,
)


def normalized(tree: Any) -> Any:
    if isinstance(tree, str):
        return normalize("NFC", tree)
    if isinstance(tree, list):
        return [normalized(value) for value in tree]
    if isinstance(tree, dict):
        return {normalize("NFC", key): normalized(value) for key, value in tree.items()}
    return tree


@given(trees, st.booleans(), st.sampled_from([None, 1]))
def test_ordinary_json_comes_through_normalized(tree: Any, ascii_only: bool, indent: int | None) -> None:
    expected = normalized(tree)
    if json.dumps(expected).count('":') == json.dumps(tree).count('":'):
        assert parse(json.dumps(tree, ensure_ascii=ascii_only, indent=indent).encode()) == expected


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused(raw: bytes) -> None:
    try:
        parse(raw)
    except DomainError as refusal:
        found = refusal.status
    else:
        found = 200
    assert found in (200, 400, 422)


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"  ", b"nul", b'{"a":1', b"[1,]", b"{'a':1}", b"1 2", b'{"a":1}x', b"NaN", b"[Infinity]", b"-Infinity",
        b"\xef\xbb\xbf{}", b'"\xff"', b'"\xed\xa0\x80"', rb'"\ud800"', rb'"\udc00x"', b'"a\x00b"', b'"a\nb"',
        b'"\\x41"', b'{"a":1}\x00', "{}".encode("utf-16"), "{}".encode("utf-32"),
    ],
)  # fmt: skip
def test_what_is_not_json_in_utf8_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidJson):
        parse(raw)


@pytest.mark.parametrize("raw", [b"1e400", b"[-1e999]", b"1" * 5000, b"1" * 500_000])
def test_a_number_beyond_every_range_is_refused_quickly(raw: bytes) -> None:
    started = time.perf_counter()
    with pytest.raises(AmountMustBeString):
        parse(raw)
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    ("raw", "pointer"),
    [
        (b'{"a":1,"a":2}', "/a"),
        (b'{"a":1,"\\u0061":1}', "/a"),
        (b'{"x":[{"b":1},{"c":{"b/~":1,"b/~":2}}]}', "/x/1/c/b~1~0"),
        (b'{"note":"a:b","amount":"1","amount":"9"}', "/amount"),
        (b'{"a":{"a":1,"a":1}}', "/a/a"),
        ('{"ä":1,"ä":2}'.encode(), "/ä"),
    ],
)
def test_a_key_that_comes_twice_is_refused_by_its_pointer(raw: bytes, pointer: str) -> None:
    with pytest.raises(DuplicateKey) as refused:
        parse(raw)
    assert refused.value.pointer == pointer


def test_two_spellings_of_one_normalized_key_are_one_key_twice() -> None:
    with pytest.raises(DuplicateKey):
        parse('{"\u00e9":1,"e\u0301":2}'.encode())


@given(trees.filter(lambda tree: isinstance(tree, dict) and tree))
def test_duplicates_are_found_wherever_they_are(tree: dict[str, Any]) -> None:
    key = json.dumps(next(iter(tree)))
    body = json.dumps(tree)[1:-1]
    with pytest.raises(DuplicateKey):
        parse(f"{{{body},{key}:null}}".encode())


@pytest.mark.parametrize("text", ['a:b"c":', "\\", '\\"', "{[", "]}", ":::", '","'])
def test_punctuation_inside_texts_is_text(text: str) -> None:
    assert parse(json.dumps({"a": text, text: 1}).encode()) == {"a": text, text: 1}


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
def test_nesting_is_bounded(opening: bytes, closing: bytes) -> None:
    levels = opening.count(b"[") + opening.count(b"{")
    fits, deep = MAX_DEPTH // levels, 100_000
    parse(opening * fits + b"1" + closing * fits)
    for depth in (fits + 1, 1000, deep):
        with pytest.raises(JsonTooDeep):
            parse(opening * depth + b"1" + closing * depth)
    with pytest.raises((JsonTooDeep, InvalidJson)):
        parse(opening * deep)


@pytest.mark.parametrize("character", FORBIDDEN, ids=lambda c: f"U+{ord(c):04X}")
@pytest.mark.parametrize("ascii_only", [True, False])
def test_invisible_characters_are_refused_by_their_pointer(character: str, ascii_only: bool) -> None:
    raw = json.dumps({"lines": [{"name": f"a{character}b"}]}, ensure_ascii=ascii_only)
    with pytest.raises(InvalidText) as refused:
        parse(raw.encode())
    assert refused.value.pointer == "/lines/0/name"
    assert refused.value.facts["characters"] == [f"U+{ord(character):04X}"]


def test_they_are_refused_in_keys_too() -> None:
    with pytest.raises(InvalidText) as refused:
        parse('{"labels":{"a\u202eb":"x"}}'.encode())
    assert refused.value.pointer == "/labels"


def test_a_long_stack_of_marks_is_refused_and_a_short_one_is_writing() -> None:
    assert parse('["\u0e01\u0e34\u0e49", "\u05d1\u05bc\u05b0"]'.encode())
    with pytest.raises(InvalidText):
        parse(('["a' + "\u0316" * 9 + '"]').encode())


@pytest.mark.parametrize("text", ["Größe", "Łódź", "日本語", "ไทย", "😀👍🏽", "a\nb\tc", "naïve", "Ω", "\u00a0x"])
def test_honest_texts_in_any_script_pass(text: str) -> None:
    assert parse(json.dumps([text], ensure_ascii=False).encode()) == [text]
    assert parse(json.dumps([text]).encode()) == [text]


def test_line_ends_between_values_are_no_texts() -> None:
    assert parse('{\r\n"ä":\t1}'.encode()) == {"ä": 1}


@given(st.text(max_size=40))
def test_texts_that_pass_are_normalized(text: str) -> None:
    try:
        [found] = parse(json.dumps([text], ensure_ascii=False).encode("utf-8", "surrogatepass"))
        assert found == check_text(text, pointer="q", source="query")
    except (InvalidText, InvalidJson):
        return
    assert is_normalized("NFC", found)
    assert found == normalize("NFC", text)


def test_a_megabyte_of_nastiness_takes_well_under_a_second() -> None:
    started = time.perf_counter()
    for raw in (
        b"[" + b"[]," * 300_000 + b"[]]",
        ('["' + "é" * 400_000 + 'e\u0301"]').encode(),
        b"{" + b",".join(b'"k%d":1' % n for n in range(80_000)) + b"}",
        b'["' + b"\\u0061" * 150_000 + b'"]',
    ):
        parse(raw)
    assert time.perf_counter() - started < 2
