"""What the figures should be on two cores with everything on one machine, and whether they are."""

from collections.abc import Mapping

import msgspec

from loadtests.bench.bare import Bare
from loadtests.bench.measure import Measured

READS, LISTS, ORDERS, FLOWS, HOT, SPREAD = "reads", "lists", "orders", "flows", "hot", "spread"


class Found(msgspec.Struct, frozen=True):
    """One scenario: what the fleet did, and the bare limit of the same run where it was measured.

    `same_writes`: a step of the scenario and a run of the script left equally many rows in every table.
    """

    measured: Measured
    bare: Bare | None = None
    same_writes: bool | None = None

    @property
    def share(self) -> float | None:
        """Of the bare limit."""
        return self.measured.rate / self.bare.rate if self.bare else None


class Verdict(msgspec.Struct, frozen=True):
    """An aim and what was found."""

    aim: str
    found: str
    met: bool


def verdicts(results: Mapping[str, Found]) -> list[Verdict]:
    """A verdict on every aim whose scenarios were run."""
    found = []
    if FLOWS in results:
        found.append(_at_least("order to cash", results[FLOWS].measured, 100))
    if ORDERS in results and results[ORDERS].share is not None:
        found.append(_share("create + confirm, of its bare limit", results[ORDERS].share or 0.0, 0.25))
    for name, what, least in ((READS, "reads by id", 2_000), (LISTS, "lists of 50", 800)):
        if name in results:
            found += [_at_least(what, results[name].measured, least), _tail(what, results[name].measured, 100)]
    if HOT in results and SPREAD in results:
        share = results[HOT].measured.rate / max(results[SPREAD].measured.rate, 1e-9)
        found.append(_share("one hot product, of the rate on spread products", share, 0.50))
    return found


def _at_least(what: str, measured: Measured, least: float) -> Verdict:
    return Verdict(f"{what} >= {least:,}/s", f"{measured.rate:,.0f}/s", measured.rate >= least)


def _tail(what: str, measured: Measured, most: float) -> Verdict:
    return Verdict(f"{what}: p99 < {most:.0f} ms", f"{measured.latency.p99:.1f} ms", measured.latency.p99 < most)


def _share(what: str, share: float, least: float) -> Verdict:
    return Verdict(f"{what} >= {least:.0%}", f"{share:.0%}", share >= least)
