"""What a story must keep to, and whether it did."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from loadtests.figures import percentile_of_counts
from loadtests.locustfiles.wire import Outcome

BUDGETS = Path(__file__).parents[1] / "budgets.toml"


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One story. Its offered load is `users` x `per_minute`.

    `refused_at_least`: the share of 429 it must get; how much such a story gets through is not held against it.
    """

    users: int
    per_minute: float
    p95_ms: float
    p99_ms: float
    error_rate: float
    refused_at_least: float | None = None

    @property
    def offered(self) -> float:
        """Requests a second."""
        return self.users * self.per_minute / 60


class Run(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`least_throughput`: share of the offered load that must be answered."""

    seconds: float
    tenants: int
    least_throughput: float


class Budgets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    run: Run
    stories: dict[str, Budget]

    def scaled(self, factor: float, seconds: float | None) -> "Budgets":
        """The same with `factor` times the users and tenants."""
        stories = {
            name: msgspec.structs.replace(budget, users=max(1, round(budget.users * factor)))
            for name, budget in self.stories.items()
        }
        run = msgspec.structs.replace(
            self.run, seconds=seconds or self.run.seconds, tenants=max(1, round(self.run.tenants * factor))
        )
        return Budgets(run, stories)


class Verdict(msgspec.Struct, frozen=True):
    """One line of the table; `broken`: the parts of the budget that were not kept."""

    story: str
    users: int
    asked_rate: float
    offered: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    failed: int
    refused_share: float
    broken: list[str]


def read_budgets(path: Path = BUDGETS) -> Budgets:
    """Raises msgspec.ValidationError naming the field."""
    return msgspec.convert(tomllib.loads(path.read_text()), Budgets)


def verdicts(budgets: Budgets, outcomes: Mapping[str, Outcome]) -> list[Verdict]:
    """One verdict a story; a story that sent nothing has broken its budget."""
    empty = Outcome({}, {}, 0, budgets.run.seconds)
    return [
        _verdict(name, budget, outcomes.get(name, empty), budgets.run.least_throughput)
        for name, budget in budgets.stories.items()
    ]


def _verdict(name: str, budget: Budget, outcome: Outcome, least_throughput: float) -> Verdict:
    p50, p95, p99 = (percentile_of_counts(outcome.times, share) for share in (0.50, 0.95, 0.99))
    asked = max(outcome.asked, 1)
    rate, refused = outcome.asked / outcome.seconds, outcome.refused / asked
    broken = []
    if p95 > budget.p95_ms:
        broken.append(f"p95 {p95:.0f} > {budget.p95_ms:.0f} ms")
    if p99 > budget.p99_ms:
        broken.append(f"p99 {p99:.0f} > {budget.p99_ms:.0f} ms")
    if outcome.failed / asked > budget.error_rate:
        broken.append(f"errors {outcome.failed / asked:.2%} > {budget.error_rate:.2%}")
    if budget.refused_at_least is None:
        if rate < least_throughput * budget.offered:
            broken.append(f"{rate:.1f}/s < {least_throughput:.0%} of {budget.offered:.1f}/s")
    elif refused < budget.refused_at_least:
        broken.append(f"refused {refused:.0%} < {budget.refused_at_least:.0%}")
    return Verdict(name, budget.users, round(rate, 1), budget.offered, p50, p95, p99, outcome.failed, refused, broken)
