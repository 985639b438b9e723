"""What a tenant decides about reordering."""

from typing import Final

from fleet.configuration.keys import Key

NIGHTLY: Final = Key(
    name="reordering.nightly",
    kind=bool,
    default=True,
    describe="Rules are looked at every night while there is no schedule for it: open proposals, nothing else.",
    per_tenant=True,
)
