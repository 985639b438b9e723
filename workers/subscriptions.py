"""Which jobs follow from which events. The relay writes their rows in the transaction that publishes the event."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from workers.event_repository import EventRow


@dataclass(frozen=True, slots=True)
class Subscription:
    """One job of `kind` for every event; `key` (when given) keeps it single while an equal one is unfinished."""

    kind: str
    queue: str
    payload: Callable[[EventRow], Mapping[str, Any]]
    key: Callable[[EventRow], str | None] = lambda event: None


_BALANCES = Subscription(
    "trial_balance_snapshot",
    "low",
    payload=lambda event: {"period_id": str(event.aggregate_id)},
    key=lambda event: f"trial_balance_snapshot:{event.aggregate_id}:{event.version}",
)
_LOW_STOCK = Subscription(
    "low_stock_notice",
    "low",
    payload=lambda event: dict(event.data),
    key=lambda event: f"low_stock:{event.aggregate_id}:{event.version}",
)

#: Event type -> what it sets going.
SUBSCRIPTIONS: Mapping[str, tuple[Subscription, ...]] = {
    "period.soft_closed": (_BALANCES,),
    "period.closed": (_BALANCES,),
    "stock.low": (_LOW_STOCK,),
}
