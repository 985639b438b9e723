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


#: Queue -> how many jobs of a tenant run in it at a time.
MAX_RUNNING: Final = {queue: _max_running(queue) for queue in ("high", "default", "low")}
