"""Which tenants' jobs are short: only whose are not can keep a queue's threads from everybody else."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import UUID

#: Jobs a second that all threads of a queue together have to take, so that who comes later does not wait for long,
#: and seconds a job may take on average however many threads there are.
_PACE: Final = 20
_SHORT: Final = 0.25
#: Seconds after which a third of what was seen still counts.
_MEMORY: Final = 1.0
#: What must have ended lately, so that anything is known.
_EVIDENCE: Final = 0.5
_FORGOTTEN: Final = 0.05


class Busy(NamedTuple):
    """What a tenant has under way in a queue: in messages or with workers, with workers, and of that for long."""

    queue: str
    tenant_id: UUID
    jobs: int
    running: int
    long: int


@dataclass(slots=True)
class _Seen:
    """`ended` jobs and seconds `worked` on jobs, both fading."""

    jobs: int = 0
    ended: float = 0.0
    worked: float = 0.0
    long: int = 0


class Tempo:
    """What one dispatcher sees of the tenants' jobs, turn by turn; nothing of it is kept."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, UUID], _Seen] = {}
        self._looked_at = -math.inf

    def look(self, busy: Iterable[Busy], now: float) -> None:
        """`now` in seconds. What was under way and is no more has ended."""
        since = min(max(0.0, now - self._looked_at), _MEMORY)
        self._looked_at = now
        fading = math.exp(-since / _MEMORY)
        found = {(one.queue, one.tenant_id): one for one in busy}
        for key in self._seen.keys() | found.keys():
            seen, one = self._seen.get(key, _Seen()), found.get(key)
            jobs, running, seen.long = (one.jobs, one.running, one.long) if one else (0, 0, 0)
            seen.ended = seen.ended * fading + max(0, seen.jobs - jobs)
            seen.worked = seen.worked * fading + running * since
            seen.jobs = jobs
            if jobs or seen.ended > _FORGOTTEN:
                self._seen[key] = seen
            else:
                self._seen.pop(key, None)

    def sent(self, queue: str, tenant_id: UUID, jobs: int) -> None:
        """They are under way from now on."""
        self._seen.setdefault((queue, tenant_id), _Seen()).jobs += jobs

    def short(self, threads: Mapping[str, int]) -> list[tuple[str, UUID]]:
        """Queue and tenant, where the jobs that ended lately were short for so many threads, and few others run."""
        return [key for key, seen in self._seen.items() if key[0] in threads and _is_short(seen, threads[key[0]])]

    def presses(self, shares: Mapping[str, int]) -> bool:
        """Whether a tenant with all of its share under way may soon have room again."""
        return any(
            0 < shares.get(queue, 0) <= seen.jobs and seen.ended > _FORGOTTEN
            for (queue, _), seen in self._seen.items()
        )


def _is_short(seen: _Seen, threads: int) -> bool:
    if seen.ended < _EVIDENCE or seen.long * 2 >= threads:
        return False
    return seen.worked / seen.ended < min(_SHORT, threads / _PACE)
