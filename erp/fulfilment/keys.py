"""What is decided about fulfilling orders: by a tenant, and for the system while it runs."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from fleet.configuration.keys import Key

AUTOMATIC_INVOICING: Final = Key(
    name="sales.automatic_invoicing",
    kind=bool,
    default=False,
    describe="Every delivery is invoiced and every invoice gets its reminder scheduled, each by the event before it.",
    per_tenant=True,
)


def _timeout(step: str, default: float, longest: float, what: str) -> Key[float]:
    return Key(
        name=f"fulfilment.{step}.timeout", kind=float, default=default, unit="seconds", minimum=0.1, maximum=longest,
        describe=what,
    )  # fmt: skip


_ASKED: Final = (
    "What one call of the step to the payment provider may take; longer is a silence, which is looked into."
)
_OURS: Final = "What the step's transaction may take; longer is given up and tried again."
#: By the step's name. A step of the provider's is at most three calls of so long, and a job ends after two minutes.
STEP_TIMEOUTS: Final[Mapping[str, Key[float]]] = MappingProxyType(
    {
        "reserve": _timeout("reserve", 60.0, 100.0, _OURS),
        "authorise": _timeout("authorise", 5.0, 30.0, _ASKED),
        "capture": _timeout("capture", 5.0, 30.0, _ASKED),
        "deliver": _timeout("deliver", 60.0, 100.0, _OURS),
        "invoice": _timeout("invoice", 60.0, 100.0, _OURS),
    }
)
MIN_ATTEMPTS: Final = Key(
    name="fulfilment.min_attempts", kind=int, default=5, unit="attempts", minimum=1, maximum=1_000,
    describe="So often a step is tried at least before an operator is asked: without workers time passes, too.",
)  # fmt: skip
FIRST_PAUSE: Final = Key(
    name="fulfilment.first_pause", kind=float, default=1.0, unit="seconds", minimum=0.05, maximum=60.0,
    describe="The pause before a step's second attempt; each further one is twice as long.",
)  # fmt: skip
LONGEST_PAUSE: Final = Key(
    name="fulfilment.longest_pause", kind=float, default=60.0, unit="seconds", minimum=0.05, maximum=3_600.0,
    describe="The longest pause between two attempts of a step.",
)  # fmt: skip
LONGEST_PAUSE_BACK: Final = Key(
    name="fulfilment.longest_pause_back", kind=float, default=3_600.0, unit="seconds", minimum=0.05,
    maximum=86_400.0, describe="The longest pause between two attempts to take a step back.",
)  # fmt: skip
PATIENCE: Final = Key(
    name="fulfilment.patience", kind=float, default=3_600.0, unit="seconds", minimum=1.0, maximum=7 * 86_400.0,
    describe="After so long at one step an operator is asked.",
)  # fmt: skip
PATIENCE_BACK: Final = Key(
    name="fulfilment.patience_back", kind=float, default=3 * 86_400.0, unit="seconds", minimum=1.0,
    maximum=30 * 86_400.0, describe="After so long at taking one step back an operator is asked.",
)  # fmt: skip
