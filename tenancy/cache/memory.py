"""Level one: what this instance keeps in memory, bounded in number and bytes, for two seconds at most."""

import random
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Cached:
    """An answer. It holds everything up to position `covered`, nothing newer than `seen`; b"" means: missing."""

    value: bytes
    covered: int
    seen: int


#: Loads the entry again, in the background.
Refill = Callable[[], object]


@dataclass(slots=True)
class _Slot:
    cached: Cached
    tags: tuple[str, ...]
    until: float
    refill: Refill | None
    hits: int = 0


@dataclass(slots=True)
class Memory:
    """Least recently used goes first. `clock` in seconds, `longest` how long anything is kept."""

    clock: Callable[[], float] = time.monotonic
    most: int = 10_000
    most_bytes: int = 32 * 1024 * 1024
    longest: float = 2.0
    _slots: OrderedDict[str, _Slot] = field(default_factory=OrderedDict)
    _tagged: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    size: int = 0
    #: Moves with every drop, so that an answer loaded before it is not kept after it.
    generation: int = 0

    def __len__(self) -> int:
        return len(self._slots)

    def get(self, key: str) -> Cached | None:
        slot = self._slots.get(key)
        if slot is None:
            return None
        if slot.until <= self.clock():
            self._forget(key)
            return None
        slot.hits += 1
        self._slots.move_to_end(key)
        return slot.cached

    def put(self, key: str, tags: tuple[str, ...], cached: Cached, ttl: float, refill: Refill | None = None) -> None:
        """Keep it for `ttl` seconds, two at most, a fifth less by chance: not all end together."""
        self._forget(key)
        kept = min(ttl, self.longest) * random.uniform(0.8, 1.0)
        self._slots[key] = _Slot(cached, tags, self.clock() + kept, refill)
        self.size += len(cached.value) + len(key)
        for tag in tags:
            self._tagged[tag].add(key)
        while len(self._slots) > self.most or self.size > self.most_bytes:
            self._forget(next(iter(self._slots)))

    def drop(self, tags: Iterable[str]) -> list[Refill]:
        """Forget every entry under any of the tags; how to fill again those used more than once."""
        self.generation += 1
        popular: list[Refill] = []
        for tag in tags:
            for key in tuple(self._tagged.get(tag, ())):
                slot = self._slots[key]
                if slot.hits > 1 and slot.refill is not None:
                    popular.append(slot.refill)
                self._forget(key)
        return popular

    def clear(self) -> None:
        self.generation += 1
        self._slots.clear()
        self._tagged.clear()
        self.size = 0

    def popular(self, most: int) -> list[str]:
        """The keys used most, and more than once."""
        ranked = sorted(self._slots.items(), key=lambda item: item[1].hits, reverse=True)
        return [key for key, slot in ranked[:most] if slot.hits > 1]

    def _forget(self, key: str) -> None:
        slot = self._slots.pop(key, None)
        if slot is None:
            return
        self.size -= len(slot.cached.value) + len(key)
        for tag in slot.tags:
            keys = self._tagged[tag]
            keys.discard(key)
            if not keys:
                del self._tagged[tag]
