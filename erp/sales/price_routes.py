"""Asking for prices over HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from litestar import get

from db.errors import DomainError
from erp.accounting.views import today
from erp.http.answers import Reply
from erp.http.body import BodyDecoder
from erp.http.cached import through_cache
from erp.http.commands import show
from erp.http.parameters import refuse_unknown_parameters
from erp.http.request import ApiRequest
from erp.kernel.text import Code, Date, Quantity
from erp.pricing.configuration import CACHE_TTL_PRICE
from erp.sales.prices import PriceView, facts_loads, facts_read, facts_written, price_entry, price_view
from erp.sales.schemas import OrderLineInput

#: A price cannot be given here: it is the product that has none.
_ASKED = {"unit_price": "product_id"}
_line = BodyDecoder(OrderLineInput).convert


@get("/prices", summary="Ask for a price", tags=["Price lists"])
async def get_price(
    request: ApiRequest,
    party_id: UUID,
    product_id: UUID,
    quantity: Quantity = "1",
    unit_code: Code | None = None,
    date: Date | None = None,
) -> Reply[PriceView]:
    """What a line of an order without a price would get, and where that price comes from.

    `quantity` is in `unit_code`, the product's own unit unless given; `date` is the tenant's present day.
    Refused where the line would be. Needs `parties:read` too.
    """
    caller, database = request.caller, request.database
    caller.require("products:read")
    caller.require("parties:read")
    refuse_unknown_parameters(request)
    with _parameters():
        line = _line({"product_id": str(product_id), "quantity": quantity, "unit_code": unit_code})
    on = date or today(caller.tenant)

    async def load(after: int | None) -> tuple[bytes, int]:
        rows, seen = await database.read_with_position(
            caller, *facts_loads(party_id, product_id, on), consistency=after
        )
        return facts_written(rows), seen

    cached = await through_cache(request, price_entry(party_id, product_id, on), CACHE_TTL_PRICE, load)
    with _parameters():
        view = price_view(facts_read(cached.value), party_id, line, on, caller.tenant.base_currency)
    return show(view)


@contextmanager
def _parameters() -> Iterator[None]:
    """Refusals name the parameter where those of a line name the field."""
    try:
        yield
    except DomainError as refusal:
        named = (refusal.pointer or "").removeprefix("/")
        refusal.pointer = _ASKED.get(named, named) or None
        refusal.facts["source"] = "query"
        raise


HANDLERS = (get_price,)
