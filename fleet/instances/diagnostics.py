"""What a process is doing at this moment: its tasks and threads with where they stand, pools, memory.

Places in the code only, never a value: a stack of ours holds tenants' data.
"""

import asyncio
import gc
import sys
import threading
import time
from collections.abc import Mapping
from types import FrameType
from typing import Any, Final

from fleet.instances.measure import resident_mib
from fleet.metrics import pool_stats

#: Tasks and frames shown; a process with more of either tells how many.
_TASKS: Final = 200
_FRAMES: Final = 12
_BEGUN: Final = time.monotonic()


def diagnostics(more: Mapping[str, Any]) -> dict[str, Any]:
    """JSON-ready. `more`: what the process itself adds."""
    tasks = sorted(asyncio.all_tasks(), key=lambda task: task.get_name())
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return {
        "uptime_seconds": round(time.monotonic() - _BEGUN, 1),
        "memory_mib": round(resident_mib(), 1),
        "garbage_counts": list(gc.get_count()),
        "task_count": len(tasks),
        "tasks": [_task(task) for task in tasks[:_TASKS]],
        "threads": [
            {"name": names.get(ident, "?"), "stack": _stack(frame)}
            for ident, frame in list(sys._current_frames().items())[:_TASKS]
        ],
        "pools": {name: dict(stats) for name, stats in pool_stats().items()},
        **more,
    }


def _task(task: "asyncio.Task[Any]") -> dict[str, Any]:
    frames = task.get_stack(limit=_FRAMES)
    return {"name": task.get_name()[:128], "stack": [_place(frame) for frame in frames]}


def _stack(frame: FrameType | None) -> list[str]:
    """The innermost call first."""
    found: list[str] = []
    while frame is not None and len(found) < _FRAMES:
        found.append(_place(frame))
        frame = frame.f_back
    return found


def _place(frame: FrameType) -> str:
    code = frame.f_code
    return f"{_short(code.co_filename)}:{frame.f_lineno} {code.co_qualname}"


def _short(path: str) -> str:
    """Without where the program is installed."""
    return "/".join(path.replace("\\", "/").rsplit("/", 3)[-3:])
