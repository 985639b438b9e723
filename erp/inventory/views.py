"""From rows to what the API shows of stock."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from erp.inventory.correction_schemas import (
    CorrectedIssueView,
    CorrectedProductView,
    CostCorrectionSummary,
    CostCorrectionView,
)
from erp.inventory.corrections_repository import CorrectedMove, CorrectedProduct, CorrectionRow
from erp.inventory.history import OnHandRow, TotalRow, ValuationRow
from erp.inventory.queries import LevelListRow, MoveRow, PlaceRow, ProductRow
from erp.inventory.schemas import (
    AvailabilityView,
    LevelView,
    MoveView,
    OnHandView,
    PlaceView,
    ValuationTotalView,
    ValuationView,
)
from erp.kernel.money import EXACT, money_text
from erp.kernel.quantity import quantity_text
from erp.kernel.text import Date

_COST_QUANTUM = Decimal("1E-10")


def level_view(row: LevelListRow) -> LevelView:
    return LevelView(
        id=row.id, version=row.version, product_id=row.product_id, product_code=row.product_code,
        location_id=row.location_id, location_code=row.location_code, on_hand=quantity_text(row.on_hand),
        reserved=quantity_text(row.reserved), available=quantity_text(row.on_hand - row.reserved),
        incoming=quantity_text(row.incoming),
        reorder_point=None if row.reorder_point is None else quantity_text(row.reorder_point),
    )  # fmt: skip


def availability_view(product: ProductRow, places: Sequence[PlaceRow]) -> AvailabilityView:
    on_hand = sum((row.on_hand for row in places), Decimal(0))
    reserved = sum((row.reserved for row in places), Decimal(0))
    return AvailabilityView(
        product_id=product.id, product_code=product.code, kind="service" if product.kind == "service" else "stocked",
        on_hand=quantity_text(on_hand), reserved=quantity_text(reserved),
        available=quantity_text(on_hand - reserved),
        incoming=quantity_text(sum((row.incoming for row in places), Decimal(0))),
        locations=[
            PlaceView(
                location_id=row.location_id, location_code=row.location_code, on_hand=quantity_text(row.on_hand),
                reserved=quantity_text(row.reserved), available=quantity_text(row.on_hand - row.reserved),
                incoming=quantity_text(row.incoming),
            )
            for row in places
        ],
    )  # fmt: skip


def move_view(row: MoveRow, currency: str) -> MoveView:
    return MoveView(
        **{
            **row._asdict(), "quantity": quantity_text(row.quantity), "value": money_text(row.value, currency),
            "unit_cost": quantity_text(row.unit_cost),
        }
    )  # fmt: skip


def valuation_view(row: ValuationRow, currency: str) -> ValuationView:
    unit_cost = EXACT.divide(row.value, row.quantity).quantize(_COST_QUANTUM) if row.quantity else None
    return ValuationView(
        product_id=row.product_id, product_code=row.product_code, quantity=quantity_text(row.quantity),
        value=money_text(row.value, currency), unit_cost=None if unit_cost is None else quantity_text(unit_cost),
    )  # fmt: skip


def total_view(row: TotalRow, as_of: Date, currency: str) -> ValuationTotalView:
    return ValuationTotalView(
        as_of=as_of, currency=currency, products=row.products, value=money_text(row.value, currency),
        inventory_account=money_text(row.inventory_account, currency),
    )  # fmt: skip


def on_hand_view(row: OnHandRow) -> OnHandView:
    return OnHandView(
        product_id=row.product_id, product_code=row.product_code, location_id=row.location_id,
        on_hand=quantity_text(row.on_hand),
    )  # fmt: skip


def correction_summary(row: CorrectionRow) -> CostCorrectionSummary:
    return CostCorrectionSummary(**_correction(row))


def correction_view(row: CorrectionRow, products: Sequence[CorrectedProduct]) -> CostCorrectionView:
    shown = [
        CorrectedProductView(
            product_id=one.product_id, product_code=one.product_code, issues=one.issues,
            value=money_text(one.value, row.currency),
        )
        for one in products
    ]  # fmt: skip
    return CostCorrectionView(**_correction(row), products=shown)


def _correction(row: CorrectionRow) -> dict[str, Any]:
    fields: dict[str, Any] = row._asdict()
    fields["issues"] = fields.pop("line_count")
    fields["value"] = money_text(row.value, row.currency)
    fields["date_shifted"] = row.accounting_date != row.date
    return fields


def corrected_issue_view(row: CorrectedMove, currency: str) -> CorrectedIssueView:
    fields: dict[str, Any] = row._asdict()
    fields["quantity"] = quantity_text(row.quantity)
    fields["booked"] = money_text(row.booked, currency)
    fields["value"] = money_text(fields.pop("amount"), currency)
    return CorrectedIssueView(**fields)
