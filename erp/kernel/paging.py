"""Cursors of keyset lists: signed, and bound to the tenant, list, sort order and filters they were made for."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

from erp.kernel.errors import InvalidCursor

_SIGNATURE = 16


class CursorCodec:
    """Seals where a page ended. The content is readable by the client, but neither alterable nor movable."""

    def __init__(self, secret: str) -> None:
        self._secret = sha256(b"cursor:" + secret.encode()).digest()

    def seal(self, scope: bytes, payload: bytes) -> str:
        """`scope` names everything the cursor is valid for; it is signed, not carried."""
        return urlsafe_b64encode(self._sign(scope, payload) + payload).decode().rstrip("=")

    def open(self, scope: bytes, cursor: str) -> bytes:
        """The payload. Raises InvalidCursor."""
        try:
            data = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        except ValueError:
            data = b""
        signature, payload = data[:_SIGNATURE], data[_SIGNATURE:]
        if not hmac.compare_digest(signature, self._sign(scope, payload)):
            raise InvalidCursor(pointer="cursor", source="query")
        return payload

    def _sign(self, scope: bytes, payload: bytes) -> bytes:
        # The length keeps bytes from moving between scope and payload.
        message = len(scope).to_bytes(4, "big") + scope + payload
        return hmac.digest(self._secret, message, "sha256")[:_SIGNATURE]
