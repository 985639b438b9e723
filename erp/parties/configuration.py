"""What can be configured about reading a party."""

from typing import Final

from fleet.configuration.keys import Key

CACHE_TTL_PARTY: Final = Key(
    name="cache.ttl.party",
    kind=float,
    default=30.0,
    describe="How long a party read may be answered from the cache; a change drops it at once.",
    unit="seconds",
    minimum=0,
    maximum=300,
)
