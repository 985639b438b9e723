"""Cost corrections on the wire. Amounts are what the value of stock gains; the cost of what left loses as much."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta, Struct

from erp.inventory.schemas import AdjustmentLineInput
from erp.kernel.text import Date

IssueKind = Literal["delivery", "adjustment"]


class CostCorrectionSummary(Struct, frozen=True, kw_only=True):
    """What a document recorded late changed of costs booked since, without the issues it is about.

    `source_id`: the document; `effective_from`: the day it is booked on; `date`: the day it was recorded on, which
    the correction's entry is dated (`accounting_date`: or the first open day after it). `issues`: how many later
    issues have another cost now.
    """

    id: UUID
    version: int
    number: str
    date: Date
    accounting_date: Date
    date_shifted: bool
    effective_from: Date
    source_type: str
    source_id: UUID
    source_number: str
    currency: str
    value: str
    issues: int
    entry_id: UUID
    created_at: datetime


class CorrectedProductView(Struct, frozen=True, kw_only=True):
    """What a correction means for one product."""

    product_id: UUID
    product_code: str
    issues: int
    value: str


class CostCorrectionView(CostCorrectionSummary, frozen=True, kw_only=True):
    products: list[CorrectedProductView]


class CorrectedIssueView(Struct, frozen=True, kw_only=True):
    """A later issue: `booked` is the value its move has (below zero: goods left), `value` what it gains by this
    correction. An earlier correction may have changed it too.
    """

    move_id: UUID
    product_id: UUID
    location_id: UUID
    date: Date
    kind: IssueKind
    quantity: str
    booked: str
    value: str
    source_type: str
    source_id: UUID


class PreviewCorrectionInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stock document of an earlier `date`: what comes in > 0, what goes out < 0.

    `unit_cost`: what one of those that come in is worth (of a receipt: the order's price), else the average of that
    day.
    """

    date: Date
    lines: Annotated[list[AdjustmentLineInput], Meta(min_length=1, max_length=2000)]


class PreviewLineView(Struct, frozen=True, kw_only=True):
    """What the document itself would be booked at."""

    line_no: int
    product_id: UUID
    location_id: UUID
    quantity: str
    unit_cost: str
    value: str


class PreviewPostingView(Struct, frozen=True, kw_only=True):
    account: str
    debit: str
    credit: str
    product_id: UUID | None


class CorrectionPreviewView(Struct, frozen=True, kw_only=True):
    """What recording the document now would change. Nothing was booked, and the next move may change it.

    `accounting_date`: the day the document would be booked on. `correction_date`: the day the correction would be
    posted on; null when costs of later issues stay as they are. `entry`: its lines.
    """

    date: Date
    accounting_date: Date
    date_shifted: bool
    earliest_date: Date
    currency: str
    lines: list[PreviewLineView]
    correction_date: Date | None
    value: str
    issues: int
    products: list[CorrectedProductView]
    entry: list[PreviewPostingView]
