"""Read models and their state as the API shows them."""

from typing import Any

from erp.kernel.money import money_text
from erp.kernel.quantity import quantity_text
from erp.projections.definition import Consumer
from erp.projections.queries import AgeingRow, CustomerRow, DayRow, MovementRow, ProductRow, StateRow
from erp.projections.repository import FailureRow, GenerationRow
from erp.projections.schemas import (
    AgeingView,
    AsOf,
    BuildView,
    DeadLetterView,
    ProjectionView,
    SalesByCustomerView,
    SalesByDayView,
    SalesByProductView,
    StockMovementsView,
)

_AMOUNTS = ("net", "tax", "gross")


def as_of(row: StateRow) -> AsOf:
    return AsOf(
        generation=row.generation or 0, position=row.position or 0, event_at=row.event_at,
        confirmed_at=row.confirmed_at, age_seconds=None if row.age is None else round(max(0.0, row.age), 3),
        complete=row.complete is not False,
    )  # fmt: skip


def projection_view(consumer: Consumer, row: StateRow) -> ProjectionView:
    return ProjectionView(
        name=consumer.name, tables=list(consumer.tables), as_of=as_of(row), building=row.building,
        building_applied=row.building_applied, replaying=row.replaying, dead_letters=row.dead,
    )  # fmt: skip


def build_view(row: GenerationRow) -> BuildView:
    """Of a generation that has just begun. Its operation is known."""
    assert row.job_id is not None
    return BuildView(
        id=row.job_id, operation=f"/v1/operations/{row.job_id}",
        consumer=row.consumer, generation=row.generation, state=row.state,  # type: ignore[arg-type]  # a CHECK
        from_position=row.first, started_at=row.started_at,
    )  # fmt: skip


def dead_letter_view(row: FailureRow) -> DeadLetterView:
    return DeadLetterView(**row._asdict())


def _money(row: Any, currency: str, *names: str) -> dict[str, Any]:
    fields: dict[str, Any] = row._asdict()
    return fields | {name: money_text(getattr(row, name), currency) for name in names}


def day_view(row: DayRow, currency: str) -> SalesByDayView:
    return SalesByDayView(**_money(row, currency, *_AMOUNTS))


def product_view(row: ProductRow, currency: str) -> SalesByProductView:
    return SalesByProductView(**_money(row, currency, "net") | {"quantity": quantity_text(row.quantity)})


def customer_view(row: CustomerRow, currency: str) -> SalesByCustomerView:
    return SalesByCustomerView(**_money(row, currency, *_AMOUNTS))


def movement_view(row: MovementRow, currency: str) -> StockMovementsView:
    quantities = {
        name: quantity_text(getattr(row, name)) for name in ("received", "delivered", "returned", "adjusted")
    }
    return StockMovementsView(**_money(row, currency, "value") | quantities)


def ageing_view(row: AgeingRow, currency: str) -> AgeingView:
    return AgeingView(**_money(row, currency, *AgeingRow._fields[1:]))
