"""From rows to what clients see and what events tell."""

from typing import Any

from erp.intercompany.repository import LinkRow, SaleRow
from erp.intercompany.schemas import IntercompanySaleView, LinkView
from erp.kernel.money import money_text

_AMOUNTS = ("net", "tax", "gross")
_TOLD = (
    "side", "partner_id", "party_id", "date", "currency", "net", "tax", "gross", "line_count", "order_id",
    "order_number", "handover_id", "handover_number", "bill_id", "bill_number", "partner_number",
)  # fmt: skip


def link_view(row: LinkRow) -> LinkView:
    return LinkView(**row._asdict())


def link_facts(row: LinkRow) -> dict[str, Any]:
    return {
        "partner_id": str(row.partner_id),
        "party_id": str(row.party_id),
        "location_id": row.location_id and str(row.location_id),
        "sells": row.sells,
        "buys": row.buys,
        "state": row.state,
    }


def sale_view(row: SaleRow) -> IntercompanySaleView:
    return IntercompanySaleView(**_written(row))


def sale_facts(row: SaleRow) -> dict[str, Any]:
    fields = _written(row)
    told = {name: fields[name] for name in _TOLD}
    return {name: value if value is None or isinstance(value, int) else str(value) for name, value in told.items()}


def _written(row: SaleRow) -> dict[str, Any]:
    return {**row._asdict(), **{name: money_text(getattr(row, name), row.currency) for name in _AMOUNTS}}
