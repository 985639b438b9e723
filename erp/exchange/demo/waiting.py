"""What happens after the answers: the story waits until the workers have done what it set going."""

import time
from dataclasses import dataclass

from erp.exchange.demo.client import Json, UnexpectedAnswer
from erp.exchange.demo.shop import Shop

_PATIENCE = 60.0
_LOOK_EVERY = 1.0


@dataclass(frozen=True, slots=True)
class Done:
    """What the workers did for one tenant, in words."""

    notice: str
    basket: str
    snapshot: str


def await_workers(shop: Shop) -> Done:
    """Raises UnexpectedAnswer when they take longer than a minute."""
    deadline = time.monotonic() + _PATIENCE
    while (done := _look(shop)) is None:
        if time.monotonic() > deadline:
            raise UnexpectedAnswer(
                f"The workers did not do their part for {shop.company.name} within {_PATIENCE:.0f} s. "
                "`erp status` and `erp logs worker-default worker-low coordinator-1` tell why."
            )
        time.sleep(_LOOK_EVERY)
    return done


def _look(shop: Shop) -> Done | None:
    """None as long as something is missing."""
    low = shop.products[shop.company.low.code]
    notices = shop.client.rows("/v1/notices", kind="low_stock", subject_id=low)
    if not notices:
        return None
    basket = shop.client.rows("/v1/reservations", external_id="demo:basket")[0]
    if basket["state"] != "expired":
        return None
    period = shop.client.get("/v1/periods", start_date=shop.calendar.old.isoformat())["data"][0]
    if period["state"] != "open" and period["snapshot_at"] is None:
        return None
    return Done(
        notice=notices[0]["title"],
        basket=f"expired at {basket['expires_at'][11:19]}, freed at {basket['closed_at'][11:19]} UTC",
        snapshot=_snapshot(period),
    )


def _snapshot(period: Json) -> str:
    month = period["start_date"][:7]
    if period["snapshot_at"] is None:
        return f"{month} was reopened by somebody"
    return f"balances of {month} summed up at {period['snapshot_at'][11:19]} UTC"
