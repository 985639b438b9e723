"""Drafting the invoice of what an order has delivered."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from uuid import UUID

from erp.invoicing.facts import InvoicedLine, invoiced_lines
from erp.invoicing.schemas import InvoiceView
from erp.invoicing.service import NewInvoice, NewInvoiceLine, save_draft
from erp.pricing.tax import PricedLine, Rounding
from erp.sales.order_state import state_after
from erp.sales.planning import named
from erp.sales.repository import LOCK_ORDER, ORDER_LINES
from erp.sales.rows import LineRow, OrderRow
from erp.sales.saving import order_of, set_state, tell_order
from erp.sales.schemas import InvoiceOrderInput
from tenancy.work import UnitOfWork

_ZERO = Decimal(0)


async def invoice_order(work: UnitOfWork, order_id: UUID, data: InvoiceOrderInput) -> InvoiceView:
    """A draft of what was delivered, is not back and not on another invoice, at the order's prices.

    The order's lock keeps a second one from invoicing the same. Raises NotFound, VersionConflict, InvalidState,
    MoreThanOpen, NothingToDo, Duplicate.
    """
    found, lines, invoiced = await work.load(
        LOCK_ORDER(order_id=order_id), ORDER_LINES(order_id=order_id), invoiced_lines(order_id)
    )
    order = order_of(found, order_id)
    work.check_version(order.version)
    state = state_after(order.state, "invoice", lines)
    billed = named(data.lines, lines, invoiceable(lines, invoiced))
    on = data.date or work.today
    view = save_draft(
        work,
        NewInvoice(
            party_id=order.party_id, date=on, lines=invoice_lines(billed),
            prices_include_tax=order.prices_include_tax, tax_rounding=rounding_of(order),
            payment_terms_days=order.payment_terms_days, due_date=data.due_date, order_id=order.id,
            external_id=data.external_id, text=data.text,
        ),
    )  # fmt: skip
    done = still_invoiced(invoiced)
    for line, quantity in billed:
        done[line.id] = done.get(line.id, _ZERO) + quantity
    after = set_state(work, order, billed=nothing_left(lines, done), state=state)
    tell_order(work, after, "invoiced", before=order, facts={"invoice_id": str(view.id)})
    return view


def invoiceable(lines: Sequence[LineRow], invoiced: Sequence[InvoicedLine]) -> dict[int, Decimal]:
    """Line number -> delivered, not returned and on no invoice, in the line's unit."""
    done = still_invoiced(invoiced)
    return {line.line_no: max(_ZERO, line.delivered - line.returned - done.get(line.id, _ZERO)) for line in lines}


def nothing_left(lines: Sequence[LineRow], invoiced: Mapping[UUID, Decimal]) -> bool:
    """Whether all that is ordered and not back is on invoices: order line -> how much of it is."""
    return all(line.wanted - line.returned <= invoiced.get(line.id, _ZERO) for line in lines)


def still_invoiced(invoiced: Sequence[InvoicedLine]) -> dict[UUID, Decimal]:
    """Order line -> on invoices and drafts, less what credit notes took back."""
    return {row.source_line_id: row.invoiced - row.credited for row in invoiced}


def invoice_lines(billed: Sequence[tuple[LineRow, Decimal]], *, whole: bool = False) -> list[NewInvoiceLine]:
    """`whole`: all of the order, so that its amounts are the invoice's."""
    return [
        NewInvoiceLine(
            product_id=line.product_id, description=line.description, quantity=quantity,
            unit_price=line.unit_price, tax_rate=line.tax_rate, discount_percent=line.discount_percent,
            tax_group_id=line.tax_group_id, unit_code=line.unit_code, source_line_id=line.id,
            priced=PricedLine(line.net, line.tax, line.gross) if whole else None,
        )
        for line, quantity in billed
    ]  # fmt: skip


def rounding_of(order: OrderRow) -> Rounding:
    return "document" if order.tax_rounding == "document" else "line"
