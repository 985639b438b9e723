"""Which jobs follow from which events. The relay writes their rows in the transaction that publishes the event."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from erp.fulfilment.keys import AUTOMATIC_INVOICING
from fleet.configuration.snapshot import current
from workers.event_repository import EventRow


@dataclass(frozen=True, slots=True)
class Subscription:
    """One job of `kind` for every event that is `wanted`; `key` keeps it single while an equal one is unfinished."""

    kind: str
    queue: str
    payload: Callable[[EventRow], Mapping[str, Any]]
    key: Callable[[EventRow], str | None] = lambda event: None
    wanted: Callable[[EventRow], bool] = lambda event: True


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


def _automatic(event: EventRow) -> bool:
    return current().get(AUTOMATIC_INVOICING, event.tenant_id)


_DELIVERY_INVOICE = Subscription(
    "delivery_invoice",
    "default",
    payload=lambda event: {"order_id": event.data["order_id"], "delivery_id": str(event.aggregate_id)},
    wanted=_automatic,
)
_INVOICE_REMINDER = Subscription(
    "invoice_reminder", "low", payload=lambda event: {"invoice_id": str(event.aggregate_id)}, wanted=_automatic
)

#: Event type -> what it sets going.
SUBSCRIPTIONS: Mapping[str, tuple[Subscription, ...]] = {
    "period.soft_closed": (_BALANCES,),
    "period.closed": (_BALANCES,),
    "stock.low": (_LOW_STOCK,),
    "delivery.posted": (_DELIVERY_INVOICE,),
    "invoice.posted": (_INVOICE_REMINDER,),
}
