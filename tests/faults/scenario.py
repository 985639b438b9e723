"""A fault, what is promised when it happens, and how it is found out whether that holds."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.faults.invariants import held_by
from tests.faults.stage import Fault, Stage, Trade, traded
from tests.faults.verdict import Check, at_most


@dataclass(frozen=True, slots=True)
class Scenario:
    """`run` breaks the fleet and answers with what it measured; the fleet is whole again at return."""

    name: str
    fault: str
    promise: str
    run: Callable[[Stage], Awaitable[list[Check]]]


#: The longest time in which callers may see errors, from how long faults last.
Window = Callable[[float], float]


async def _no_more(stage: Stage, trade: Trade) -> list[Check]:
    return []


def under_trade(
    name: str,
    fault: str,
    promise: str,
    inject: Fault,
    *,
    window: Window | None = None,
    then: Callable[[Stage, Trade], Awaitable[list[Check]]] = _no_more,
) -> Scenario:
    """Callers trade meanwhile; their history is compared with the books when all is over, and `then` looks on."""

    async def run(stage: Stage) -> list[Check]:
        trade = await traded(stage, name, inject)
        await stage.whole()
        rest = await held_by(stage, trade)
        return [*_felt(stage, trade, window), *trade.checks, *rest, *await then(stage, trade)]

    return Scenario(name, fault, promise, run)


def _felt(stage: Stage, trade: Trade, window: Window | None) -> list[Check]:
    """How long callers saw errors, where that is bounded."""
    if window is None:
        return [Check("errors seen", f"{trade.felt} in {trade.window:.1f} s", "any", True)]
    return [at_most(f"errors seen ({trade.felt}) for", trade.window, window(stage.seconds))]
