"""Differences between the books and the shelf: written off or taken on, with a reason, number and entry."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from db.identifiers import new_id
from db.statement import Bound
from erp.accounting.posting import Ledger, ledger_loads, open_ledger
from erp.inventory.adjustment_repository import ADD_ADJUSTMENT, ADD_ADJUSTMENT_LINES, AdjustmentLineRow, AdjustmentRow
from erp.inventory.errors import DateInFuture, NotStocked
from erp.inventory.facts import LocationFacts, chosen_location, locations_facts
from erp.inventory.schemas import AdjustmentLineInput, AdjustmentLineView, AdjustmentSummary, AdjustmentView
from erp.inventory.schemas import CreateAdjustmentInput
from erp.inventory.stock import (
    Demand,
    Move,
    Pair,
    Stock,
    arrived_later,
    ensure_levels,
    post_moves,
    stock_loads,
    value_at,
)
from erp.kernel.errors import UnknownReference
from erp.kernel.money import money_text
from erp.kernel.quantity import check_decimals, quantity_text
from erp.kernel.text import decimal
from erp.numbering.service import take
from erp.pricing.facts import SellingFacts, selling_facts
from tenancy.locks import stock_operation
from tenancy.trail import Event
from tenancy.work import UnitOfWork
