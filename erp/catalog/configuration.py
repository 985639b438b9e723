"""What can be configured about products."""

from typing import Final

from fleet.configuration.keys import Key

CACHE_TTL_PRODUCT: Final = Key(
    name="cache.ttl.product",
    kind=float,
    default=30.0,
    describe="How long a product read may be answered from the cache; a change drops it at once.",
    unit="seconds",
    minimum=0,
    maximum=300,
)
