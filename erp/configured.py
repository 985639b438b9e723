"""The configuration of one process: its environment's values as defaults, and the watch that keeps it current."""

from collections.abc import Mapping
from types import MappingProxyType

from db.pool import Pool
from erp.fulfilment.keys import STEP_TIMEOUTS
from erp.settings import Settings
from fleet.configuration.log_level import LOG_LEVEL, follow_log_level
from fleet.configuration.snapshot import Configuration
from fleet.configuration.watch import ConfigurationWatch, hints_over
from tenancy.limit_keys import (
    ADDRESS_PER_MINUTE,
    KEY_PER_MINUTE,
    STRANGER_PER_MINUTE,
    TENANT_PER_MINUTE,
    USER_PER_MINUTE,
)


def configuration_watch(
    settings: Settings, platform_pool: Pool, placed: Mapping[str, Pool] = MappingProxyType({})
) -> ConfigurationWatch:
    """To be started with the process; `placed`: the platform's pools of further databases."""
    return ConfigurationWatch(
        configuration_of(settings), platform_pool, hints_over(settings.redis_cache_url), placed=placed
    )


def configuration_of(settings: Settings) -> Configuration:
    """The configuration of a process: what its environment says holds where nobody has set anything.

    Raises InvalidValue for a setting its key does not take.
    """
    configuration = Configuration(
        {
            USER_PER_MINUTE.name: settings.user_per_minute,
            KEY_PER_MINUTE.name: settings.key_per_minute,
            TENANT_PER_MINUTE.name: settings.tenant_per_minute,
            ADDRESS_PER_MINUTE.name: settings.address_per_minute,
            STRANGER_PER_MINUTE.name: settings.stranger_per_minute,
            STEP_TIMEOUTS["authorise"].name: settings.payments_timeout,
            STEP_TIMEOUTS["capture"].name: settings.payments_timeout,
            LOG_LEVEL.name: settings.log_level.lower(),
        }
    )
    follow_log_level(configuration)
    return configuration
