"""How many requests are let in, a minute and at once, as configured for the whole system."""

from typing import Final

from fleet.configuration.keys import Key

_MOST: Final = 1_000_000_000


def _per_minute(name: str, default: int, whose: str) -> Key[int]:
    return Key(
        name=f"limits.{name}_per_minute", kind=int, default=default,
        describe=f"Requests a minute {whose}; the rest is answered with 429.",
        unit="requests a minute", minimum=1, maximum=_MOST,
    )  # fmt: skip


USER_PER_MINUTE: Final = _per_minute("user", 120, "of one signed-in user")
KEY_PER_MINUTE: Final = _per_minute("key", 600, "with one API key")
TENANT_PER_MINUTE: Final = _per_minute("tenant", 6_000, "of one tenant in all")
ADDRESS_PER_MINUTE: Final = _per_minute("address", 3_000, "from one network address with a credential")
STRANGER_PER_MINUTE: Final = _per_minute("stranger", 120, "from one network address without a credential")
TENANT_CONCURRENCY: Final = Key(
    name="limits.tenant_concurrency", kind=int, default=40,
    describe="Requests of one tenant an instance works on at once; others wait in the tenant's line, then get 429.",
    unit="requests", minimum=1, maximum=_MOST,
)  # fmt: skip
