"""Orders are made and, while they are drafts, changed."""

from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET

from db.identifiers import new_id
from erp.inventory.facts import chosen_location, location_facts
from erp.kernel.errors import Invalid
from erp.kernel.quantity import quantity_text
from erp.numbering.service import reference
from erp.parties.facts import customer_of, party_facts
from erp.pricing.facts import conversions, selling_facts, tax_defaults
from erp.pricing.tax import Rounding
from erp.sales.confirming import create_confirmed
from erp.sales.documents import OrderView
from erp.sales.drafting import goods_of, new_lines, price_loads, tax_terms
from erp.sales.order_state import check
from erp.sales.repository import CHANGING, DROP_LINES, LOCK_ORDER, ORDER_LINES, SET_DRAFT
from erp.sales.rows import LineRow, OrderRow
from erp.sales.saving import add_lines, add_order, order_of, tell_order
from erp.sales.schemas import CreateOrderInput, OrderLineInput, UpdateOrderInput
from erp.sales.views import order_view
from tenancy.work import UnitOfWork


async def create_order(work: UnitOfWork, data: CreateOrderInput) -> OrderView:
    """A draft, or with `confirm` a confirmed order with its reservations, in one transaction.

    Raises UnknownReference, PartyInactive, NotACustomer, ProductInactive, NotInThisUnit, NotRepresentable,
    PriceUnknown, NoTaxRate, InsufficientStock, CreditLimitExceeded, Forbidden, Duplicate.
    """
    _check_options(data)
    on = data.date or work.today
    number = await reference(work, "sales_order")
    products = sorted({line.product_id for line in data.lines})
    # Nothing is locked by these reads: before a reservation they stay outside the transaction, so that the
    # locks of its levels are waited for without holding a connection.
    places, parties, facts, ratios, *listed = await (work.peek if data.confirm else work.load)(
        location_facts(data.location_id), party_facts(data.party_id), selling_facts(products, on),
        conversions(products), *price_loads(data.lines, data.party_id, on),
    )  # fmt: skip
    location, party = chosen_location(places, data.location_id), customer_of(parties, data.party_id)
    terms = tax_terms(tax_defaults(work.tenant.settings), data.prices_include_tax, data.tax_rounding)
    lines, totals = new_lines(data.lines, goods_of(facts, ratios, *listed), terms, work.tenant.base_currency)
    draft = OrderRow(
        id=new_id(), number=number, state="draft", party_id=party.id, location_id=location.id, date=on,
        currency=work.tenant.base_currency, prices_include_tax=terms.included, tax_rounding=terms.rounding,
        payment_terms_days=party.payment_terms_days, net=totals.net, tax=totals.tax, gross=totals.gross,
        line_count=len(lines), reference=data.reference, text=data.text, cancel_reason="", direct=False,
        external_id=data.external_id, confirmed_at=None, version=1, created_at=work.now,
    )  # fmt: skip
    if data.confirm:
        return await create_confirmed(
            work, draft, lines, party, allow_partial=data.allow_partial, override=data.credit_override
        )
    add_order(work, draft, lines)
    tell_order(work, draft, "created", lines=lines)
    return order_view(draft, lines, {})


def _check_options(data: CreateOrderInput) -> None:
    if not data.confirm:
        for name in ("allow_partial", "credit_override"):
            if getattr(data, name):
                raise Invalid(f"`{name}` goes with `confirm`.", pointer=f"/{name}")


async def update_order(work: UnitOfWork, order_id: UUID, data: UpdateOrderInput) -> OrderView:
    """Change a draft and price it again as a whole.

    Raises NotFound, VersionConflict, InvalidState and what creating raises.
    """
    found, before_lines = await work.load(LOCK_ORDER(order_id=order_id), ORDER_LINES(order_id=order_id))
    before = order_of(found, order_id)
    work.check_version(before.version)
    check(before.state, "edit")
    wanted = before._replace(**_sent(data))
    inputs = [_as_input(line) for line in before_lines] if data.lines is UNSET else data.lines
    products = sorted({line.product_id for line in inputs})
    places, parties, facts, ratios, *listed = await work.load(
        location_facts(wanted.location_id), party_facts(wanted.party_id), selling_facts(products, wanted.date),
        conversions(products), *price_loads(inputs, wanted.party_id, wanted.date),
    )  # fmt: skip
    chosen_location(places, wanted.location_id)
    party = customer_of(parties, wanted.party_id)
    terms = tax_terms(tax_defaults(work.tenant.settings), wanted.prices_include_tax, _rounding(wanted))
    lines, totals = new_lines(inputs, goods_of(facts, ratios, *listed), terms, before.currency)
    after = wanted._replace(
        payment_terms_days=party.payment_terms_days, net=totals.net, tax=totals.tax, gross=totals.gross,
        line_count=len(lines), version=before.version + 1,
    )  # fmt: skip
    changes = {f"new_{name}": getattr(after, name) for name in CHANGING}
    work.save(DROP_LINES(order_id=order_id), SET_DRAFT(order_id=order_id, **changes))
    add_lines(work, order_id, lines)
    tell_order(work, after, "updated", before=before, lines=lines)
    return order_view(after, lines, {})


def _sent(data: UpdateOrderInput) -> dict[str, Any]:
    sent = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}
    sent.pop("lines", None)
    return sent


def _rounding(row: OrderRow) -> Rounding:
    return "document" if row.tax_rounding == "document" else "line"


def _as_input(line: LineRow) -> OrderLineInput:
    """A line as a client would send it again: its price stays, its tax follows the order's date."""
    return OrderLineInput(
        product_id=line.product_id, quantity=quantity_text(line.quantity), unit_code=line.unit_code,
        unit_price=quantity_text(line.unit_price), discount_percent=quantity_text(line.discount_percent),
        description=line.description,
    )  # fmt: skip
