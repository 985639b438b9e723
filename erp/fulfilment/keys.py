"""What a tenant decides about fulfilling its orders."""

from typing import Final

from fleet.configuration.keys import Key

AUTOMATIC_INVOICING: Final = Key(
    name="sales.automatic_invoicing",
    kind=bool,
    default=False,
    describe="Every delivery is invoiced and every invoice gets its reminder scheduled, each by the event before it.",
    per_tenant=True,
)
