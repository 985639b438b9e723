"""How background jobs are treated, as configured for the whole system."""

from typing import Final

from fleet.configuration.keys import Key

MAX_ATTEMPTS: Final = Key(
    name="workers.max_attempts",
    kind=int,
    default=3,
    describe="Attempts of a background job before it is set aside as failed; jobs made before a change keep theirs.",
    unit="attempts",
    minimum=1,
    maximum=25,
)


def _max_running(queue: str) -> Key[int]:
    return Key(
        name=f"jobs.max_running.{queue}",
        kind=int,
        default=0,
        describe=f"Jobs of one tenant that run at a time in the queue `{queue}`; 0: any number. A tenant can lower it"
        " for itself, not raise it.",
        unit="jobs",
        minimum=0,
        maximum=10_000,
        per_tenant=True,
    )


def _left_to_others(queue: str) -> Key[int]:
    return Key(
        name=f"jobs.left_to_others.{queue}",
        kind=int,
        default=1,
        describe=f"Threads of the workers of the queue `{queue}` that one tenant's jobs leave to other tenants unless"
        " they are short; it has one in any case. 0: it may have all of them.",
        unit="threads",
        minimum=0,
        maximum=10_000,
    )


_QUEUES: Final = ("high", "default", "low")
#: Queue -> how many jobs of a tenant run in it at a time.
MAX_RUNNING: Final = {queue: _max_running(queue) for queue in _QUEUES}
#: Queue -> how many of its threads a tenant leaves to others.
LEFT_TO_OTHERS: Final = {queue: _left_to_others(queue) for queue in _QUEUES}
