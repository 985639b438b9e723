"""Features on the wire."""

from msgspec import Struct

from erp.kernel.text import Reason


class FeatureView(Struct, frozen=True, kw_only=True):
    """A feature and who could take part. `known` is false for one that is active and that the answering instance's
    release does not know. `lacking`: registered instances whose release does not know it.
    """

    name: str
    describe: str
    known: bool
    active: bool
    instances: int
    lacking: list[str]


class FeaturesView(Struct, frozen=True, kw_only=True):
    """By name. `complete` is false while an instance may be missing from the registry."""

    data: list[FeatureView]
    complete: bool
    degraded: bool


class FeatureInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`reason` is kept in the history of the configuration."""

    reason: Reason


class FeatureChangedView(Struct, frozen=True, kw_only=True):
    """`revision`: of the configuration; an instance that has reached it works accordingly. Null: it was so already.

    `acknowledged`: the instances that said they can.
    """

    name: str
    active: bool
    revision: int | None
    acknowledged: list[str]
