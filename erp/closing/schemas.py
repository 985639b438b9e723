"""Checks of periods on the wire."""

from typing import Literal
from uuid import UUID

from msgspec import Struct

from erp.kernel.text import Count, Timestamp

Rule = Literal[
    "draft_invoices", "draft_sales_orders", "draft_purchase_orders", "deliveries_not_invoiced", "receipts_not_billed",
    "unallocated_payments", "proof",
]  # fmt: skip


class ExampleView(Struct, frozen=True, kw_only=True):
    """One document, or one rule of the proof."""

    id: str
    number: str


class FindingView(Struct, frozen=True, kw_only=True):
    """`count` of what was found, and the first twenty of it. `hinders`: to be settled before the period is closed.

    Drafts of orders only deserve a look; the others hinder.
    """

    rule: Rule
    hinders: bool
    count: Count
    examples: list[ExampleView]


class PeriodCheckView(Struct, frozen=True, kw_only=True):
    """`hinders`: whether any of the findings does; rules without a finding are shown with the count 0."""

    id: UUID
    period_id: UUID
    hinders: bool
    findings: list[FindingView]
    created_at: Timestamp


class AskedCheckView(Struct, frozen=True, kw_only=True):
    """The job that looks; one that is not over yet is not asked for again."""

    job_id: UUID
