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
