"""What the configuration refuses."""

from db.errors import DomainError


class UnknownConfigurationKey(DomainError):
    """There is no such key in this release; nothing was changed.

    Fix: read the configuration for the keys there are, with their types and ranges.
    """

    code = "unknown-configuration-key"
    title = "The configuration key is not known"
    status = 422


class SystemConfigurationKey(DomainError):
    """The key holds for the whole system, so only the platform's operator can set it.

    Fix: set keys whose `per_tenant` is true, or ask the operator.
    """

    code = "system-configuration-key"
    title = "Only the operator can set this key"
    status = 403


class InvalidConfigurationValue(DomainError):
    """The value has another type than the key, or lies outside its range or choices; nothing was changed.

    Fix: send a value the key takes; reading the key tells its type, range and choices.
    """

    code = "invalid-configuration-value"
    title = "The configuration key does not take this value"
    status = 422


class UnknownConfigurationVersion(DomainError):
    """The configuration of this scope has not had that version yet.

    Fix: take a version from the list of changes, or 1 for the state before the first one.
    """

    code = "unknown-configuration-version"
    title = "There is no such version of the configuration"
    status = 422
