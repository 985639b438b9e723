"""The cyclic garbage collector of a process that serves requests."""

import gc
from typing import Final

#: New containers until the youngest are looked at (Python: 700); runs of one generation for one of the next.
_THRESHOLDS: Final = (20_000, 20, 50)


def settle_garbage_collector() -> None:
    """Call once the program is built: what lives now lives as long as the process and is not looked at again.

    Without this one list of fifty records sets the collector off, and each of its full runs walks all modules,
    routes and statements: a fifth of the time of such a request. References free nearly everything without it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
