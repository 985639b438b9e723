"""Just enough of PromQL to see which metrics and labels an expression names."""

import re
from dataclasses import dataclass

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')
_RANGE = re.compile(r"\[[^\]]*\]")
_SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*\{([^}]*)\}")
_MATCHER = re.compile(r"\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*(\d+)\s*")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_WORD = re.compile(r"(?<![\w.])([a-zA-Z_:][a-zA-Z0-9_:]*)(\s*\()?")
_KEYWORDS = frozenset({"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "inf", "nan"})


@dataclass(frozen=True)
class Matcher:
    """One `label="value"` of a selector; `exact` is False for regular expressions and negations."""

    metric: str
    label: str
    value: str
    exact: bool


@dataclass(frozen=True)
class Expression:
    metrics: frozenset[str]
    matchers: tuple[Matcher, ...]
    grouped_by: frozenset[str]


def parse(text: str) -> Expression:
    """Raises ValueError for unbalanced brackets and unreadable selectors."""
    for opening, closing in ("()", "{}", "[]"):
        if _STRING.sub("", text).count(opening) != _STRING.sub("", text).count(closing):
            raise ValueError(f"unbalanced {opening}{closing} in {text!r}")
    strings: list[str] = []

    def remember(found: re.Match[str]) -> str:
        strings.append(found[0][1:-1])
        return str(len(strings) - 1)

    bare = _RANGE.sub("", _STRING.sub(remember, text))
    matchers = tuple(
        matcher for metric, inside in _SELECTOR.findall(bare) for matcher in _matchers(metric, inside, strings)
    )
    grouped = frozenset(label.strip() for inside in _GROUPING.findall(bare) for label in inside.split(","))
    without = _GROUPING.sub("", re.sub(r"\{[^}]*\}", "", bare))
    metrics = frozenset(word for word, call in _WORD.findall(without) if not call and word.lower() not in _KEYWORDS)
    return Expression(metrics, matchers, grouped - {""})


def _matchers(metric: str, inside: str, strings: list[str]) -> list[Matcher]:
    found = []
    for part in filter(None, (piece.strip() for piece in inside.split(","))):
        match = _MATCHER.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is no matcher")
        found.append(Matcher(metric, match[1], strings[int(match[3])], match[2] == "="))
    return found
