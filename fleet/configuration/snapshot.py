"""The configuration as one process knows it: read from memory, replaced whole, never a reason to wait or to fail."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, TypeVar
from uuid import UUID

from db.two_phase import MAIN
from fleet.configuration.keys import KEYS, InvalidValue, Key, Value

T = TypeVar("T", bound=Value)

log = logging.getLogger(__name__)

#: The scope of what holds for every tenant that has no value of its own.
SYSTEM: Final = UUID(int=0)

#: What the keys of features begin with.
FEATURE_PREFIX: Final = "features."

Watcher = Callable[[frozenset[str]], None]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Values by scope and name; `revisions`: the number of the newest change of each database that is in it."""

    revisions: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    values: Mapping[tuple[UUID, str], Value] = field(default_factory=lambda: MappingProxyType({}))


class Configuration:
    """What `get` answers comes from the last snapshot applied; before the first one, from the defaults.

    `defaults` are this process's own (its environment); they take the place of those declared in code.
    """

    def __init__(self, defaults: Mapping[str, Value] | None = None) -> None:
        given = (defaults or {}).items()
        self._defaults = {name: KEYS[name].parse(KEYS[name].encode(value)) for name, value in given}
        self._snapshot = Snapshot()
        self._watchers: list[Watcher] = []
        #: Names of features that are active and that this build does not know: what others do may be beyond it.
        self.unknown_features: frozenset[str] = frozenset()
        self.announcer: Callable[[], Awaitable[None]] | None = None

    @property
    def snapshot(self) -> Snapshot:
        return self._snapshot

    def revision(self, database: str = MAIN) -> int:
        """Of the newest change in a database that this process works with; 0: none yet."""
        return self._snapshot.revisions.get(database, 0)

    def get(self, key: Key[T], tenant_id: UUID | None = None) -> T:
        """The tenant's value, else the system's, else the default."""
        values = self._snapshot.values
        found: Any = None
        if tenant_id is not None and key.per_tenant:
            found = values.get((tenant_id, key.name))
        if found is None:
            found = values.get((SYSTEM, key.name))
        if found is None:
            found = self._defaults.get(key.name, key.default)
        value: T = found
        return value

    def own(self, name: str, scope: UUID) -> Value | None:
        """What is set in this very scope, inherited values left out."""
        return self._snapshot.values.get((scope, name))

    def default(self, key: Key[T]) -> T:
        """What holds where neither the system nor the tenant has set a value."""
        value: Any = self._defaults.get(key.name, key.default)
        found: T = value
        return found

    async def announce(self) -> None:
        """Tell every process of a committed change; they would find it by themselves within a second."""
        if self.announcer is not None:
            await self.announcer()

    def watch(self, callback: Watcher) -> None:
        """Call with the names that changed, after `get` answers the new values. Never undone."""
        self._watchers.append(callback)

    def apply(self, snapshot: Snapshot) -> frozenset[str]:
        """Work with another snapshot from now on; the names whose value changed in any scope."""
        before, self._snapshot = self._snapshot, snapshot
        scopes = before.values.keys() | snapshot.values.keys()
        changed = frozenset(
            name for scope, name in scopes if before.values.get((scope, name)) != snapshot.values.get((scope, name))
        )
        if changed:
            self._tell(changed)
        return changed

    def note_unknown_features(self, names: frozenset[str]) -> None:
        """Features the fleet has agreed on without this build; watchers are told of changes."""
        before, self.unknown_features = self.unknown_features, names
        if before != names:
            self._tell(frozenset(FEATURE_PREFIX + name for name in before ^ names))

    def _tell(self, names: frozenset[str]) -> None:
        for callback in self._watchers:
            try:
                callback(names)
            except Exception:  # one reader's mistake must not keep the others on old values
                log.exception("a watcher of the configuration failed")


def known_value(name: str, given: object) -> Value | None:
    """The value stored under a name, or None for what this release does not know or would refuse."""
    key = KEYS.get(name)
    if key is None:
        return None
    try:
        value: Value = key.parse(given)
    except InvalidValue:
        return None
    return value


#: The newest one last. One process has one; tests may run several applications in theirs.
_live: Final = [Configuration()]


def current() -> Configuration:
    """The process's configuration; only defaults until the composition root has put one into use."""
    return _live[-1]


def use(configuration: Configuration) -> None:
    """For composition roots: what `current` answers from now on."""
    _live.append(configuration)


def retire(configuration: Configuration) -> None:
    """The end of `use`: `current` answers what was in use before."""
    if configuration in _live[1:]:
        _live.remove(configuration)
