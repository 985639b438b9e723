"""The named consumers of the bus and the read models they keep."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from erp.projections.definition import Apply, Consumer, Delivered
from erp.projections.tables_repository import (
    DROP_RECEIVABLES,
    RECEIVABLES,
    SALES_BY_CUSTOMER,
    SALES_BY_DAY,
    SALES_BY_PRODUCT,
    SET_RECEIVABLES,
    STOCK_MOVEMENTS,
    ReadModel,
)
from tenancy.work import UnitOfWork


def _documents(events: Sequence[Delivered]) -> list[UUID]:
    return sorted({event.aggregate_id for event in events})


def _adding(*models: ReadModel) -> Apply:
    statements = [model.adding() for model in models]

    def apply(work: UnitOfWork, generation: int, events: Sequence[Delivered]) -> None:
        work.save(*(statement(generation=generation, ids=_documents(events)) for statement in statements))

    return apply


def _set_receivables(work: UnitOfWork, generation: int, events: Sequence[Delivered]) -> None:
    named = {"generation": generation, "ids": _documents(events)}
    work.save(DROP_RECEIVABLES(**named), SET_RECEIVABLES(**named))


def _consumer(name: str, types: set[str], apply: Apply, *models: ReadModel, repeatable: bool = False) -> Consumer:
    return Consumer(
        name, frozenset(types), apply, tuple(model.table for model in models),
        tuple(model.checking(sorted(types)) for model in models), repeatable,
    )  # fmt: skip


_POSTED = {"invoice.posted", "credit_note.posted"}
_MODELS: Final = (SALES_BY_DAY, SALES_BY_PRODUCT, SALES_BY_CUSTOMER, STOCK_MOVEMENTS, RECEIVABLES)
#: Table -> how rows of a retired generation are dropped, and how many are shown.
PURGES: Final = {model.table: model.purging() for model in _MODELS}
COUNTS: Final = {model.table: model.counting() for model in _MODELS}

CONSUMERS: Final[Mapping[str, Consumer]] = {
    one.name: one
    for one in (
        _consumer(
            "sales", _POSTED, _adding(SALES_BY_DAY, SALES_BY_PRODUCT, SALES_BY_CUSTOMER),
            SALES_BY_DAY, SALES_BY_PRODUCT, SALES_BY_CUSTOMER,
        ),
        _consumer(
            "stock-movements",
            {
                "goods_receipt.posted", "delivery.posted", "return.posted", "stock_adjustment.posted",
                "cost_correction.posted",
            },
            _adding(STOCK_MOVEMENTS), STOCK_MOVEMENTS,
        ),
        _consumer(
            "receivables",
            _POSTED | {"open_item.allocated", "open_item.settled", "open_item.reopened"},
            _set_receivables, RECEIVABLES, repeatable=True,
        ),
    )
}  # fmt: skip
