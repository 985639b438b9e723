"""A feature: what this build can do once the whole fleet can, declared in code beside its use.

Its state is a value of the configuration, so every process sees it within a second and keeps it when the servers
are away; but nobody sets it like one: see `fleet.features.agreement`.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from fleet.configuration.keys import Key
from fleet.configuration.snapshot import FEATURE_PREFIX, current

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{2,60}")


@dataclass(frozen=True, slots=True, eq=False)
class Feature:
    """Declaring it registers it in FEATURES and makes this build one that knows it. Raises ValueError, DuplicateKey.

    A build that knows a feature can do both: what it turns on, and what was done without it.
    """

    name: str
    describe: str
    key: Key[bool] = field(init=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is no name of a feature: lower-case letters, digits, underscores.")
        key = Key(
            name=FEATURE_PREFIX + self.name, kind=bool, default=False, describe=self.describe, by_agreement=True
        )
        object.__setattr__(self, "key", key)
        FEATURES[self.name] = self

    @property
    def active(self) -> bool:
        """Whether the fleet has agreed, as far as this process knows."""
        return current().get(self.key)


#: Every feature this build knows, by its name.
FEATURES: Final[dict[str, Feature]] = {}
