"""Another log level for a while: afterwards what is configured holds again, without anybody remembering it."""

import asyncio
from collections.abc import Callable

from fleet.logging import get_logger, set_log_level

log = get_logger("fleet.instances")


class LogOverride:
    """`configured` tells the level that holds otherwise."""

    def __init__(self, configured: Callable[[], str]) -> None:
        self._configured = configured
        self._level = ""
        self._over: asyncio.TimerHandle | None = None

    @property
    def level(self) -> str:
        """The one that holds for a while; empty: none."""
        return self._level

    def set(self, level: str, seconds: float) -> None:
        """From now on, for `seconds`. Raises ValueError for what is no level."""
        set_log_level(level)
        self._forget()
        self._level = level
        self._over = asyncio.get_running_loop().call_later(seconds, self.end)
        log.warning("another log level for a while", level=level, seconds=seconds)

    def end(self) -> None:
        """Back to what is configured."""
        if self._level:
            self._forget()
            set_log_level(self._configured())

    def reassert(self) -> None:
        """The configuration was changed meanwhile; this still holds."""
        if self._level:
            set_log_level(self._level)

    def _forget(self) -> None:
        self._level = ""
        if self._over is not None:
            self._over.cancel()
            self._over = None
