"""What holds for one tenant: its own configuration, then the settings of its record, then the system's."""

import contextlib
from typing import TypeVar

from fleet.configuration.keys import InvalidValue, Key, Value
from fleet.configuration.snapshot import current
from tenancy.caller import TenantFacts

T = TypeVar("T", bound=Value)


def configured(tenant: TenantFacts, key: Key[T]) -> T:
    """The value the tenant works with, from memory. A setting of the same name in the tenant's record hides the
    system's value; one the key does not take is passed over.
    """
    configuration = current()
    if configuration.own(key.name, tenant.id) is None and key.name in tenant.settings:
        with contextlib.suppress(InvalidValue):
            return key.parse(tenant.settings[key.name])
    return configuration.get(key, tenant.id)
