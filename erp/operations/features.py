"""Turning features on, when every live instance can, and off.

The state is a value of the system's configuration: in PostgreSQL, with history, event and audit entry, seen by every
process within a second.
"""

from typing import Final
from uuid import UUID, uuid5

from erp.kernel.errors import NotFound
from erp.operations.configuration import set_by_agreement
from erp.operations.features_errors import FeatureNotAgreed
from erp.operations.features_schemas import FeatureChangedView, FeatureInput, FeaturesView, FeatureView
from fleet.configuration.snapshot import Configuration
from fleet.features.agreement import Agreement, agree
from fleet.features.feature import FEATURES, Feature
from fleet.instances.instance import Instance
from fleet.instances.member import Roll
from tenancy.work import UnitOfWork

_NAMESPACE: Final = UUID("c8f0b1c4-4f9c-4d65-8bb5-0d3c2d9a7f42")
_UNKNOWN: Final = "Active, and not known to the release of the instance that answers."


def active_features(configuration: Configuration) -> frozenset[str]:
    known = {name for name, feature in FEATURES.items() if configuration.get(feature.key)}
    return frozenset(known | configuration.unknown_features)


def features_view(configuration: Configuration, roll: Roll) -> FeaturesView:
    active = active_features(configuration)
    views = [_view(name, name in active, roll) for name in sorted(FEATURES.keys() | active)]
    return FeaturesView(data=views, complete=roll.whole, degraded=roll.degraded)


def _view(name: str, active: bool, roll: Roll) -> FeatureView:
    feature = FEATURES.get(name)
    return FeatureView(
        name=name, describe=_UNKNOWN if feature is None else feature.describe, known=feature is not None,
        active=active, instances=len(roll.members),
        lacking=[one.id for one in roll.members if name not in one.about.features],
    )  # fmt: skip


def known_feature(name: str) -> Feature:
    """Raises NotFound."""
    feature = FEATURES.get(name)
    if feature is None:
        raise NotFound("This release knows no such feature.", feature=name[:64])
    return feature


async def agreement_on(instance: Instance, feature: Feature) -> Agreement:
    """Raises FeatureNotAgreed with the names of who stands against it."""
    agreement = await agree(instance.registry, instance.bus, feature.name)
    if not agreement.reached:
        raise FeatureNotAgreed(
            feature=feature.name, lacking=list(agreement.lacking), silent=list(agreement.silent),
            acknowledged=list(agreement.acknowledged), complete=agreement.whole, retry_after=10,
        )  # fmt: skip
    return agreement


class Activation:
    """The command, with the agreement reached just before; `None`: the feature is turned off."""

    def __init__(self, feature: Feature, agreement: Agreement | None) -> None:
        self._feature = feature
        self._agreement = agreement

    async def __call__(self, work: UnitOfWork, data: FeatureInput) -> FeatureChangedView:
        active, name = self._agreement is not None, self._feature.name
        acknowledged = list(self._agreement.acknowledged) if self._agreement else []
        change = await set_by_agreement(work, self._feature.key, active, data.reason)
        if change.changed:
            facts = {"feature": name, "acknowledged": acknowledged, "reason": data.reason}
            action = "features.activate" if active else "features.deactivate"
            work.audit(action, "feature", uuid5(_NAMESPACE, name), after=facts)
        return FeatureChangedView(name=name, active=active, revision=change.revision, acknowledged=acknowledged)
