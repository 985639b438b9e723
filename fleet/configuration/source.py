"""One database's part of the configuration, kept current: what changed since, and now and then all of it."""

import asyncio
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from db.clock import clock
from db.pipeline import Connection
from db.pool import Pool, flush
from db.statement import Bound
from fleet.configuration.keys import KEYS, Value
from fleet.configuration.snapshot import FEATURE_PREFIX, SYSTEM, known_value
from fleet.configuration.store import CHANGES_SINCE, EVERY_VALUE, HEAD, TIME, ChangedValue, CurrentValue
from fleet.metrics import configuration_changes_total, configuration_propagation_seconds

#: Scope and key.
Place = tuple[UUID, str]

#: Seconds after which everything is read again, whatever the revision says: a restored backup may repeat numbers.
WHOLE: Final = 60.0


class Source:
    """The values of the scopes whose rows are in one database. `pool` is one of the platform role.

    What holds for the system is set in the `main` database; in the others it is passed over.
    """

    def __init__(self, name: str, pool: Pool, *, main: bool) -> None:
        self.name = name
        self.revision = 0
        self.values: dict[Place, Value] = {}
        #: What is stored and this release does not take.
        self.refused: frozenset[Place] = frozenset()
        #: Features that are active and that this release does not know.
        self.unknown_features: frozenset[str] = frozenset()
        self._pool = pool
        self._main = main
        self._whole_at = float("-inf")

    async def look(self) -> bool:
        """Learn what is new; whether anything was. Raises what asking the database raises."""
        now = asyncio.get_running_loop().time()
        if now - self._whole_at <= WHOLE:
            head, changed = await self._since(self.revision)
            if head >= self.revision:  # else it is another database than the one we knew
                self._take_changes(changed)
                return bool(changed)
        before = (self.revision, self.values, self.refused, self.unknown_features)
        self._take_everything(await self._everything())
        self._whole_at = now
        return before != (self.revision, self.values, self.refused, self.unknown_features)

    def forget(self) -> None:
        """Read everything with the next look, whatever the revision says."""
        self._whole_at = float("-inf")

    async def _since(self, seen: int) -> tuple[int, list[ChangedValue]]:
        async with self._pool.connection() as connection:
            heads, changed = await self._asked(connection, HEAD(), CHANGES_SINCE(seen=seen))
        return heads[0][0], changed

    async def _everything(self) -> list[CurrentValue]:
        async with self._pool.connection() as connection:
            [rows] = await self._asked(connection, EVERY_VALUE())
        return rows

    async def _asked(self, connection: Connection, *statements: Bound[Any]) -> list[list[Any]]:
        """The rows of each; of the main database also what time it is there."""
        if not self._main:
            return await flush(connection, list(statements))
        asked = datetime.now(UTC)
        [[(told,)], *rows] = await flush(connection, [TIME(), *statements])
        clock.compare(told, asked, datetime.now(UTC))
        return rows

    def _take_changes(self, changed: list[ChangedValue]) -> None:
        for row in changed:
            self._take(self.values, (row.scope, row.name), row.value)
            self.revision = max(self.revision, row.revision)
            configuration_changes_total.at("system" if row.scope == SYSTEM else "tenant").inc()
            configuration_propagation_seconds.observe(max(0.0, row.age))

    def _take_everything(self, rows: list[CurrentValue]) -> None:
        values: dict[Place, Value] = {}
        self.refused, self.unknown_features = frozenset(), frozenset()
        for row in rows:
            if row.scope is None or row.name is None:
                continue
            place = (row.scope, row.name)
            if place in self.values:
                values[place] = self.values[place]  # the last good one, unless the new one is good as well
            self._take(values, place, row.value)
        self.values, self.revision = values, rows[0].revision

    def _take(self, values: dict[Place, Value], place: Place, given: Any) -> None:
        scope, name = place
        if scope == SYSTEM and not self._main:
            return
        self.refused -= {place}
        if name.startswith(FEATURE_PREFIX) and name not in KEYS:
            feature = {name.removeprefix(FEATURE_PREFIX)}
            self.unknown_features = (
                self.unknown_features | feature if given is True else self.unknown_features - feature
            )
            return
        if given is None:
            values.pop(place, None)
        elif (value := known_value(name, given)) is not None:
            values[place] = value
        elif name in KEYS:  # a name no code declares is another release's business, not somebody's mistake
            self.refused |= {place}
