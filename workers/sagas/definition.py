"""What a saga is made of: steps in our own database, and steps others do for us."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from erp.fulfilment.keys import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    LONGEST_PAUSE_BACK,
    MIN_ATTEMPTS,
    PATIENCE,
    PATIENCE_BACK,
)
from erp.fulfilment.recording import State
from fleet.configuration.snapshot import current
from tenancy.work import UnitOfWork

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Local:
    """Done and undone by commands of ours: effect and record are one transaction, so nothing is ever unknown."""

    name: str
    run: Callable[[UnitOfWork, State], Awaitable[Facts]]
    undo: Callable[[UnitOfWork, State, Facts], Awaitable[Facts]]
    #: Seconds the transaction may take, asked for each time; no longer than any transaction either way.
    timeout: Callable[[], float] = lambda: 60.0


@dataclass(frozen=True, slots=True)
class Intention:
    """What will be asked for, and what would undo it; both JSON."""

    request: Facts
    undo: Facts


@dataclass(frozen=True, slots=True)
class Outcome:
    """A definite answer."""

    accepted: bool
    facts: Facts
    code: str = ""


@dataclass(frozen=True, slots=True)
class Outside:
    """Done by somebody else, under a key. `ask` and `look_up` raise when the answer is not known.

    `intend` returns None when there is nothing to ask for. `timeout`: seconds for one call, asked for each time.
    """

    name: str
    intend: Callable[[UnitOfWork, State], Awaitable[Intention | None]]
    ask: Callable[[str, Facts], Awaitable[Outcome]]
    look_up: Callable[[str], Awaitable[Outcome | None]]
    timeout: Callable[[], float] = lambda: 5.0


Step = Local | Outside


@dataclass(frozen=True, slots=True)
class Patience:
    """Pauses from `first` to `longest` seconds, doubled each time; an operator is asked after `total`."""

    first: float
    longest: float
    total: float
    #: Nobody gives up before so many attempts: while no worker runs, time alone passes.
    attempts: int = 5


def _forward() -> Patience:
    get = current().get
    return Patience(get(FIRST_PAUSE), get(LONGEST_PAUSE), get(PATIENCE), get(MIN_ATTEMPTS))


def _back() -> Patience:
    get = current().get
    return Patience(get(FIRST_PAUSE), get(LONGEST_PAUSE_BACK), get(PATIENCE_BACK), get(MIN_ATTEMPTS))


@dataclass(frozen=True, slots=True)
class Saga:
    """Steps in order. How patient it is, is asked for each time: by default as configured at that moment."""

    kind: str
    steps: tuple[Step, ...]
    forward: Callable[[], Patience] = _forward
    back: Callable[[], Patience] = _back

    def step(self, name: str) -> Step:
        return next(step for step in self.steps if step.name == name)

    def patience(self, direction: str) -> Patience:
        return self.forward() if direction == "forward" else self.back()


Sagas = Mapping[str, Saga]
