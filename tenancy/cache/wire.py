"""How a cached answer is written into Redis: as it is, or compressed once every instance can read that."""

import zlib
from typing import Final

from fleet.features.feature import Feature

#: Long lists of records shrink to a sixth or so: less memory in Redis, fewer bytes on its one thread.
COMPRESSED: Final = Feature(
    "compressed_cache_entries",
    "Cached answers of 2 KiB and more are compressed in Redis; a release that does not know this cannot read them.",
)

#: Answers are JSON or empty: neither begins like this.
_MARK: Final = b"\0z"
_WORTH_IT: Final = 2048
#: The fastest level: an answer is written far less often than read, but while somebody waits.
_LEVEL: Final = 1


def written(value: bytes) -> bytes:
    if len(value) < _WORTH_IT or not COMPRESSED.active:
        return value
    return _MARK + zlib.compress(value, _LEVEL)


def read_back(stored: bytes) -> bytes:
    """Either form, whatever is active: entries outlive a change."""
    return zlib.decompress(stored[len(_MARK) :]) if stored.startswith(_MARK) else stored
