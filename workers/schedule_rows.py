"""What the operator wants of the system's tasks, as the leader knows it: read anew every few seconds."""

import time as clock
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from erp.operations.system_schedules import SYSTEM_SCHEDULES, SystemRow
from tenancy.platform import PlatformDatabase, PlatformSession
from workers.relay import Hold
from workers.schedule_repository import READ_SCHEDULE, REGISTER

#: Seconds after which a change by the operator is known.
FRESH = 5.0


class Declared(Protocol):
    """What the code says of a task."""

    @property
    def name(self) -> str: ...
    @property
    def every(self) -> float: ...
    @property
    def cron(self) -> str | None: ...
    @property
    def zone(self) -> str: ...
    @property
    def missed(self) -> str: ...


class ScheduleRows:
    """The rows of `system_schedules` of one database. `hold` refuses to write them when the lead is lost."""

    def __init__(self, platform: PlatformDatabase, hold: Hold) -> None:
        self._platform = platform
        self._hold = hold
        self._rows: dict[str, SystemRow] = {}
        self._until = 0.0

    async def refresh(self, tasks: Sequence[Declared]) -> list[str]:
        """Read them unless they are fresh; the tasks whose rows were changed by somebody."""
        if clock.monotonic() < self._until:
            return []
        before, self._rows = self._rows, await self._read()
        if any(task.name not in self._rows for task in tasks) or not before:
            await self._register(tasks)
            self._rows = await self._read()
        self._until = clock.monotonic() + FRESH
        return [name for name, row in self._rows.items() if name in before and before[name].version != row.version]

    async def _read(self) -> dict[str, SystemRow]:
        [rows] = await self._platform.ask(SYSTEM_SCHEDULES())
        return {row.job: row for row in rows}

    async def _register(self, tasks: Sequence[Declared]) -> None:
        known = sorted(tasks, key=lambda task: task.name)
        declared = REGISTER(
            jobs=[task.name for task in known],
            everies=[None if task.cron else task.every for task in known],
            crons=[task.cron for task in known],
            zones=[task.zone if task.cron else None for task in known],
            misseds=[task.missed for task in known],
        )

        async def register(session: PlatformSession) -> None:
            # What an earlier release declared must not come back with a leader of it that wakes up.
            await self._hold(session)
            session.save(declared)

        await self._platform.run(register)

    def of(self, name: str) -> SystemRow:
        return self._rows[name]

    def take_request(self, name: str) -> tuple[SystemRow, datetime]:
        """The row, and when a run was asked for; not looked at again before the row is."""
        row = self._rows[name]
        assert row.requested_at is not None
        self._rows[name] = row._replace(requested_at=None)
        return row, row.requested_at

    async def read(self, session: PlatformSession, name: str) -> tuple[SystemRow, datetime]:
        """The row as it is now, and what the database's clock shows."""
        [[values]] = await session.load(READ_SCHEDULE(of_job=name))
        return SystemRow(*values[:-1]), values[-1]
