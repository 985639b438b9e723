"""What a tenant decides about looking at periods before they are closed."""

from typing import Final

from fleet.configuration.keys import Key

MONTHLY: Final = Key(
    name="closing.monthly_check",
    kind=bool,
    default=True,
    describe="The month that has ended is looked at on the first day of the next while there is no schedule for it.",
    per_tenant=True,
)
