"""What the agreement on a feature refuses."""

from db.errors import DomainError


class FeatureNotAgreed(DomainError):
    """Not every live instance has acknowledged that it can: `lacking` do not know the feature, `silent` did not
    answer, and while `complete` is false somebody may have been overlooked. Nothing was changed.

    Fix: replace the instances named by ones of a release that knows the feature, then repeat the request. A killed
    instance counts as alive for twenty seconds; after a loss of Redis wait ten.
    """

    code = "feature-not-agreed"
    title = "The fleet has not agreed on the feature"
    status = 409


class ConfigurationKeyByAgreement(DomainError):
    """The key follows from an agreement of the fleet, so nobody sets it; nothing was changed.

    Fix: activate or deactivate the feature.
    """

    code = "configuration-key-by-agreement"
    title = "The key follows from an agreement of the fleet"
    status = 409
