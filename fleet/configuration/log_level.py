"""The level of every process's log, changed while it runs."""

from typing import Final

from fleet.configuration.keys import Key
from fleet.configuration.snapshot import Configuration
from fleet.logging import set_log_level

LOG_LEVEL: Final = Key(
    name="log.level",
    kind=str,
    default="info",
    describe="Log lines below this level are not written by any process.",
    choices=("debug", "info", "warning", "error", "critical"),
)


def follow_log_level(configuration: Configuration) -> None:
    """Apply changes of the key from now on; the process has set its own level at start."""

    def changed(names: frozenset[str]) -> None:
        if LOG_LEVEL.name in names:
            set_log_level(configuration.get(LOG_LEVEL))

    configuration.watch(changed)
