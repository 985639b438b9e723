"""CPU time of groups of processes, from /proc: each with all its descendants, finished ones included."""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


class Tree:
    """The processes there were at one moment."""

    def __init__(self, proc: Path = _PROC) -> None:
        self._ticks: dict[int, int] = {}
        self._children: dict[int, list[int]] = defaultdict(list)
        for name in os.listdir(proc):
            if name.isdigit():
                self._add(int(name), proc)

    def _add(self, pid: int, proc: Path) -> None:
        try:
            fields = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # ended since it was listed
            return
        # Own time and that of children it has waited for: a child's time is in exactly one of the two places.
        self._ticks[pid] = sum(int(value) for value in fields[11:15])
        self._children[int(fields[1])].append(pid)

    def seconds(self, pids: Iterable[int], *, alone: bool = False) -> float:
        """User and system time of the processes and (unless `alone`) of all that descend from them."""
        counted = pids if alone else self.family(pids)
        return sum(self._ticks.get(pid, 0) for pid in counted) / _TICKS

    def family(self, pids: Iterable[int]) -> set[int]:
        """The processes and all that descend from them."""
        waiting, found = list(pids), set[int]()
        while waiting:
            pid = waiting.pop()
            if pid in self._ticks and pid not in found:
                found.add(pid)
                waiting += self._children.get(pid, ())
        return found


def cpu_seconds(groups: Mapping[str, Iterable[int]], alone: Mapping[str, int]) -> dict[str, float]:
    """Seconds by group; `alone` names single processes whose children belong to other groups."""
    tree = Tree()
    found = {name: tree.seconds(pids) for name, pids in groups.items()}
    return found | {name: tree.seconds([pid], alone=True) for name, pid in alone.items()}


def machine_seconds(proc: Path = _PROC) -> float:
    """Seconds all CPUs together were busy since the machine started."""
    user, nice, system, _idle, _waiting, *interrupts = (
        int(value) for value in (proc / "stat").read_text().split("\n", 1)[0].split()[1:8]
    )
    return (user + nice + system + sum(interrupts)) / _TICKS
