"""What was measured beside what was promised."""

from collections.abc import Sequence

import msgspec


class Check(msgspec.Struct, frozen=True):
    """One measured fact, what it has to be, and whether it is."""

    name: str
    measured: str
    bound: str
    holds: bool


class Verdict(msgspec.Struct, frozen=True):
    """A fault, the promise it puts to the test, and what came of it. `seconds`: what the run took."""

    name: str
    fault: str
    promise: str
    checks: tuple[Check, ...]
    seconds: float

    @property
    def kept(self) -> bool:
        return bool(self.checks) and all(check.holds for check in self.checks)

    @property
    def broken(self) -> list[Check]:
        return [check for check in self.checks if not check.holds]


def none_of(name: str, found: Sequence[object]) -> Check:
    """There must be none; some of those that are there are named."""
    return Check(name, "0" if not found else f"{len(found)}: {list(found[:3])}", "0", not found)


def at_most(name: str, value: float, bound: float, unit: str = "s") -> Check:
    return Check(name, f"{value:.1f} {unit}", f"<= {bound:g} {unit}", value <= bound)
