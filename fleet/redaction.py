"""What must never reach a log, a health answer or a trace: secrets and personal data."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

REDACTED = "[redacted]"

#: Words of a field name that mark its value as secret or personal, in snake, kebab or camel case.
_SECRET_WORDS = frozenset(
    {
        "authorization", "cookie", "credential", "credentials", "dsn", "passphrase", "passwd", "password",
        "pepper", "pwd", "secret", "secrets", "session", "signature", "token", "tokens",
        "email", "iban", "phone",
    }
)  # fmt: skip
_SECRET_PAIRS = frozenset(
    {
        "access_key", "account_number", "api_key", "apikey", "client_key", "database_url", "operator_key",
        "private_key", "redis_url", "replica_urls", "signing_key", "tax_id",
    }
)  # fmt: skip
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

#: (what it looks like, what is left of it), most specific first; each also needs `marker` in the text,
#: a plain substring search that spares most lines the regular expressions.
_PATTERNS: tuple[tuple[str, re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    ("://", re.compile(r"(?<=://)([^\s/@:]*):[^\s@]*@"), rf"\1:{REDACTED}@"),
    ("erp_", re.compile(r"\berp_[a-z2-7]{26}_[0-9a-f]{16}_[0-9A-Za-z]+"), f"erp_{REDACTED}"),
    ("eyJ", re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"), REDACTED),
    (
        "PRIVATE KEY",
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
        REDACTED,
    ),
    ("", re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{6,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    (
        "",
        re.compile(
            r"\b((?:\w*_)?(?:password|passwd|pwd|secret|token|api[_-]?key|operator[_-]?key|authorization))"
            r"""(["']?\s*[=:]\s*["']?)(?!\[redacted\])[^\s"',;&)}]+""",
            re.IGNORECASE,
        ),
        rf"\1\2{REDACTED}",
    ),
    ("@", re.compile(r"(?<![\w.+-])[\w.+-]++@[\w-]++(?:\.[\w-]++)+"), "[email]"),
    ("", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"), lambda m: _iban(m[0])),
)


@lru_cache(maxsize=1024)
def is_secret_name(name: str) -> bool:
    """True when a field of that name must not be shown: `X-Api-Key`, `smtpPassword`, `DATABASE_URL`."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if not _SECRET_WORDS.isdisjoint(words):
        return True
    pairs = {"_".join(pair) for pair in pairwise(words)}
    return not _SECRET_PAIRS.isdisjoint(pairs.union(words))


#: What every pattern needs somewhere: one look spares ordinary text all of them.
_SUSPECT = re.compile(
    r"://|@|[A-Z]{2}\d\d|(?i:erp_|eyj|private key|bearer|basic|passw|pwd|secret|token|api[_-]?key|operator|authoriz)"
)


def redact_text(text: str) -> str:
    """The text without credentials in URLs, API keys, tokens, `password=...`, e-mail addresses and IBANs."""
    if _SUSPECT.search(text) is None:
        return text
    for marker, pattern, left in _PATTERNS:
        if marker in text:
            text = pattern.sub(left, text)
    return text


def redact(value: Any, *, depth: int = 6) -> Any:
    """A copy with secret fields and secrets inside text replaced; deeper than `depth` becomes text."""
    if isinstance(value, str):
        return redact_text(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth == 0:
        return redact_text(str(value))
    if isinstance(value, Mapping):
        return {str(key): redact_field(str(key), item, depth=depth - 1) for key, item in value.items()}
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    if isinstance(value, Sequence | set | frozenset):
        return [redact(item, depth=depth - 1) for item in value]
    return redact_text(str(value))


def redact_field(name: str, value: Any, *, depth: int = 6) -> Any:
    """The value of one named field. Numbers and truth values stay: `tokens=3` tells nobody a token."""
    plain = value is None or isinstance(value, bool | int | float)
    if not plain and is_secret_name(name):
        return REDACTED
    return redact(value, depth=depth)


def _iban(text: str) -> str:
    """ISO 13616: letters as two digits, first four characters last, remainder 1 modulo 97."""
    plain = text.replace(" ", "")
    if not 15 <= len(plain) <= 34:
        return text
    digits = "".join(str(int(character, 36)) for character in plain[4:] + plain[:4])
    return "[iban]" if int(digits) % 97 == 1 else text
