"""What can be imported: every resource with a `create` command, except those of the platform itself."""

from collections.abc import Mapping
from typing import Final

from erp.accounting import routes as accounting
from erp.catalog import routes as catalog
from erp.http.commands import Command
from erp.inventory import routes as inventory
from erp.invoicing import routes as invoicing
from erp.parties import routes as parties
from erp.payments import routes as payments
from erp.pricing import routes as pricing
from erp.purchasing import routes as purchasing
from erp.sales import routes as sales

_SLICES = (parties, catalog, pricing, accounting, inventory, invoicing, payments, sales, purchasing)


def _creating() -> dict[str, Command]:
    found = {}
    for slice_routes in _SLICES:
        for command in slice_routes.COMMANDS:
            if command.name.endswith(".create") and not command.target:
                found[command.resource] = command
    return found


#: Resource, as in command names (`sales_orders`), -> its command.
IMPORTABLE: Final[Mapping[str, Command]] = _creating()
