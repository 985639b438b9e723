"""How far back stock may be booked: as far as the costs of later issues can follow in one transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final
from uuid import UUID

from db.statement import Bound
from erp.inventory.errors import BackdatedTooFar, BackdatedTooMuch
from erp.inventory.repository import MOVED_SINCE, SinceRow
from fleet.configuration.keys import Key
from tenancy.caller import TenantFacts
from tenancy.configured import configured
from tenancy.work import UnitOfWork

MAX_DAYS: Final = Key(
    name="inventory.max_backdate_days", kind=int, default=366, unit="days", minimum=0, maximum=3_650,
    describe="How many days back a stock document may change costs of later issues.", per_tenant=True,
)  # fmt: skip
#: Moves of later days one document may make go through again.
LOOKED_AT: Final = 20_000

#: What lets a document be booked as history.
HISTORY_PERMISSION: Final = "imports:write"


@dataclass(frozen=True, slots=True)
class Reach:
    """How far back a document recorded `today` may change costs of later ones."""

    today: date
    days: int

    @property
    def earliest(self) -> date:
        return self.today - timedelta(days=self.days)

    def check(self, on: date, late: Sequence[UUID], moves: int = 0) -> None:
        """Raises BackdatedTooFar for products (`late`) that moved after a day too far back, BackdatedTooMuch."""
        if late and on < self.earliest:
            raise BackdatedTooFar(
                f"{len(late)} of its products moved after {on}; documents that change such costs reach back to"
                f" {self.earliest}.",
                pointer="/date", date=on.isoformat(), earliest=self.earliest.isoformat(),
                max_backdate_days=self.days, product_ids=[str(product) for product in late[:20]],
            )  # fmt: skip
        if moves > LOOKED_AT:
            raise BackdatedTooMuch(
                f"More than {LOOKED_AT} later moves of its products would have to be looked at.", pointer="/date",
                date=on.isoformat(), maximum_moves=LOOKED_AT,
            )  # fmt: skip


def reach_of(tenant: TenantFacts, today: date) -> Reach:
    return Reach(today, configured(tenant, MAX_DAYS))


def moved_since(products: Iterable[UUID], on: date) -> Bound[SinceRow]:
    """The moves of later days, by product and in their order; one more than may be looked at, to be refused."""
    return MOVED_SINCE(products=sorted(set(products)), on=on, limit=LOOKED_AT + 1)


def check_may_record_history(work: UnitOfWork, history: bool) -> None:
    """Raises Forbidden."""
    if history:
        work.caller.require(HISTORY_PERMISSION)
