"""Positions in the write-ahead log, as numbers inside and as opaque signed tokens outside.

A position is taken after COMMIT: one taken before is too low and promises too little.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

from db.errors import DomainError

#: Further than any server has come: no replica satisfies it, so the primary answers.
PRIMARY_ONLY = 2**64 - 1


class InvalidConsistencyToken(DomainError):
    """The Consistency-Token was not issued by this service or was altered."""

    code = "invalid-consistency-token"
    title = "The consistency token is not valid"
    status = 400


def parse_lsn(text: str) -> int:
    """`0/4489110` as a number."""
    high, low = text.split("/")
    return (int(high, 16) << 32) | int(low, 16)


def lsn_text(position: int) -> str:
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


class TokenCodec:
    """Signs positions, so that a client can neither invent nor alter one."""

    def __init__(self, secret: str) -> None:
        self._secret = sha256(b"consistency:" + secret.encode()).digest()

    def encode(self, position: int) -> str:
        raw = position.to_bytes(8, "big")
        return urlsafe_b64encode(raw + self._sign(raw)).decode().rstrip("=")

    def decode(self, token: str) -> int:
        """Raises InvalidConsistencyToken."""
        try:
            data = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except ValueError:
            data = b""
        if len(data) != 20 or not hmac.compare_digest(self._sign(data[:8]), data[8:]):
            raise InvalidConsistencyToken(hint="Send back a Consistency-Token exactly as it was received.")
        return int.from_bytes(data[:8], "big")

    def _sign(self, raw: bytes) -> bytes:
        return hmac.digest(self._secret, raw, "sha256")[:12]
