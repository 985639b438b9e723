"""What can be configured about reading a price, price list or tax group."""

from typing import Final

from fleet.configuration.keys import Key

CACHE_TTL_PRICE: Final = Key(
    name="cache.ttl.price",
    kind=float,
    default=30.0,
    describe="How long a read of a price, price list or tax group may be answered from the cache; a change drops it.",
    unit="seconds",
    minimum=0,
    maximum=300,
)
