"""What an answer must look like: literal texts with placeholders, objects and lists that may be cut short.

`<uuid>` stands for any value of that kind, `<uuid customer>` also keeps it under a name, `<customer>` is what was
kept. A member `"…"` of an object allows members that are not shown, a last element `"…"` of a list further ones.
"""

import re
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from typing import Any, Final

CUT: Final = "…"

_PLACEHOLDER = re.compile(r"<([a-z][a-z0-9_]*)(?: ([a-z][a-z0-9_]*))?>")


def _day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == len("2026-01-31")


def _moment(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).utcoffset() is not None
    except ValueError:
        return False


def _anything(text: str) -> bool:
    return True


#: Kind -> what such a text looks like, and what else must be true of it.
KINDS: Final[dict[str, tuple[str, Callable[[str], bool]]]] = {
    "uuid": (r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", _anything),
    "date": (r"[0-9]{4}-[0-9]{2}-[0-9]{2}", _day),
    "timestamp": (r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(?:Z|[+-][0-9:]+)", _moment),
    "int": (r"[0-9]+", _anything),
    "key": (r"erp_[a-z2-7]{26}_[0-9a-f]{16}_[0-9a-f]{50}", _anything),
    "prefix": (r"[0-9a-f]{16}", _anything),
    "token": (r"[A-Za-z0-9_-]{16,}", _anything),
    "text": (r".+", _anything),
}


class Names:
    """What is known by name: given at the start, kept from answers. `today` is true at midnight, too."""

    def __init__(self, **given: str) -> None:
        self._known = given

    def fill(self, text: str) -> str:
        """The text with its names replaced. Raises KeyError."""

        def value(found: re.Match[str]) -> str:
            if found[2]:
                raise KeyError(f"{found[0]} keeps nothing in a request")
            return self._known[found[1]]

        return _PLACEHOLDER.sub(value, text)

    def differences(self, shown: Any, real: Any, at: str = "") -> Iterator[str]:
        """Where the real value is not as shown; names are kept on the way."""
        if isinstance(shown, dict) and isinstance(real, dict):
            yield from self._members(shown, real, at)
        elif isinstance(shown, list) and isinstance(real, list):
            yield from self._elements(shown, real, at)
        elif (isinstance(shown, str) and not self._fits(shown, real)) or (
            not isinstance(shown, str) and (type(shown) is not type(real) or shown != real)
        ):
            yield f"{at or '/'}: {shown!r} is shown, {real!r} came"

    def _members(self, shown: dict[str, Any], real: dict[str, Any], at: str) -> Iterator[str]:
        for name, value in shown.items():
            if name in real:
                yield from self.differences(value, real[name], f"{at}/{name}")
            elif name != CUT:
                yield f"{at}/{name}: is shown and did not come"
        if CUT not in shown:
            yield from (f"{at}/{name}: came and is not shown" for name in real if name not in shown)

    def _elements(self, shown: list[Any], real: list[Any], at: str) -> Iterator[str]:
        more = bool(shown) and shown[-1] == CUT
        wanted = shown[:-1] if more else shown
        if len(real) < len(wanted) or (len(real) > len(wanted) and not more):
            yield f"{at or '/'}: {len(wanted)} elements are shown, {len(real)} came"
        for index, (one, other) in enumerate(zip(wanted, real, strict=False)):
            yield from self.differences(one, other, f"{at}/{index}")

    def _fits(self, shown: str, real: Any) -> bool:
        whole = _PLACEHOLDER.fullmatch(shown)
        if whole is not None and whole[1] == "int":
            return isinstance(real, int) and not isinstance(real, bool) and self._keep(whole[2], str(real))
        if not isinstance(real, str):
            return False
        return self.fits_text(shown, real)

    def fits_text(self, shown: str, real: str) -> bool:
        """Whether a text is as shown; what its placeholders name is kept."""
        parts: list[tuple[str, str | None]] = []
        pattern, end = "", 0
        for found in _PLACEHOLDER.finditer(shown):
            expression, kind = self._expression(found)
            pattern += re.escape(shown[end : found.start()]) + f"({expression})"
            parts.append((kind, found[2]))
            end = found.end()
        match = re.fullmatch(pattern + re.escape(shown[end:]), real, re.DOTALL)
        if match is None:
            return False
        values = list(zip(parts, match.groups(), strict=True))
        if not all(self._holds(kind, value) for (kind, _), value in values):
            return False
        return all(self._keep(name, value) for (_, name), value in values)

    def _expression(self, found: re.Match[str]) -> tuple[str, str]:
        """The regular expression of a placeholder, and its kind ("" for what is known by name)."""
        word, name = found[1], found[2]
        if word in KINDS:
            return KINDS[word][0], word
        if word == "today" and not name:
            return KINDS["date"][0], "today"
        known = None if name else self._known.get(word)
        # What is neither a kind nor known by now is like nothing.
        return r"(?!)" if known is None else re.escape(known), ""

    def _holds(self, kind: str, value: str) -> bool:
        if kind == "today":
            return _day(value) and abs(date.fromisoformat(value) - self._today) <= timedelta(days=1)
        return not kind or KINDS[kind][1](value)

    @property
    def _today(self) -> date:
        return date.fromisoformat(self._known["today"])

    def _keep(self, name: str | None, value: str) -> bool:
        if name is not None:
            self._known[name] = value
        return True
