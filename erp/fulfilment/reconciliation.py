"""Money in is money out: the provider's books beside ours, payment by payment in the order of their names."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from uuid import UUID

from erp.fulfilment.port import LedgerPayment
from erp.fulfilment.repository import Booked
from erp.fulfilment.schemas import MoneyView

_PREFIX = "saga:"
_ENDED = ("completed", "compensated")


def name_of(saga_id: UUID) -> str:
    """Names sort as the ids do: their texts have one length and the bytes' order."""
    return f"{_PREFIX}{saga_id}"


def compare(theirs: Sequence[LedgerPayment], ours: Sequence[Booked], limit: int) -> tuple[list[MoneyView], bool]:
    """The first `limit` of both together, and whether there are more. Each list is complete up to its last name."""
    provider = {one.payment: one for one in theirs}
    recorded = {name_of(one.saga_id): one for one in ours}
    names = sorted(provider.keys() | recorded.keys())
    more = len(names) > limit or len(theirs) > limit or len(ours) > limit
    return [_view(name, provider, recorded) for name in names[:limit]], more


def _view(name: str, theirs: Mapping[str, LedgerPayment], ours: Mapping[str, Booked]) -> MoneyView:
    provider, recorded = theirs.get(name), ours.get(name)
    their_in, their_out = (provider.captured, provider.refunded) if provider else ("0", "0")
    our_in, our_out, booked = (recorded.captured, recorded.refunded, recorded.booked) if recorded else ("0", "0", "0")
    agrees = (
        Decimal(their_in) == Decimal(our_in)
        and Decimal(their_out) == Decimal(our_out)
        and Decimal(our_in) - Decimal(our_out) == Decimal(booked)
    )
    pending = recorded is not None and recorded.state not in _ENDED
    return MoneyView(
        fulfilment_id=recorded.saga_id if recorded else None, payment=name,
        state="agrees" if agrees else "pending" if pending else "differs", provider_captured=their_in,
        provider_refunded=their_out, captured=our_in, refunded=our_out, booked=booked,
    )  # fmt: skip
