"""Recompute what must be true of a tenant's books and name every row that breaks it."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from erp.accounting.proof import CHECKS as LEDGER_CHECKS
from erp.accounting.proof_check import LIMIT, Check, Evidence
from erp.inventory.proof import CHECKS as STOCK_CHECKS
from erp.invoicing.proof import CHECKS as INVOICE_CHECKS
from erp.payments.proof import CHECKS as PAYMENT_CHECKS
from erp.purchasing.proof import CHECKS as PURCHASE_CHECKS
from erp.sales.proof import CHECKS as SALES_CHECKS

CHECKS: tuple[Check, ...] = (
    *LEDGER_CHECKS, *STOCK_CHECKS, *INVOICE_CHECKS, *PAYMENT_CHECKS, *PURCHASE_CHECKS, *SALES_CHECKS,
)  # fmt: skip


class EvidenceView(msgspec.Struct, frozen=True):
    """A row that breaks the rule: where it is, what it should say, what it says."""

    table: str
    id: str
    expected: str
    found: str


class CheckView(msgspec.Struct, frozen=True):
    """One rule. `evidence` holds at most 100 rows; `truncated` says that there are more."""

    name: str
    rule: str
    holds: bool
    evidence: list[EvidenceView]
    truncated: bool


class ProofView(msgspec.Struct, frozen=True):
    """All rules, recomputed from the rows of one snapshot."""

    holds: bool
    computed_at: datetime
    checks: list[CheckView]


def proof_view(results: Sequence[list[Evidence]], computed_at: datetime) -> ProofView:
    checks = [_check_view(check, rows) for check, rows in zip(CHECKS, results, strict=True)]
    return ProofView(all(check.holds for check in checks), computed_at, checks)


def _check_view(check: Check, rows: list[Evidence]) -> CheckView:
    evidence = [EvidenceView(*row) for row in rows]
    return CheckView(check.name, check.rule, not rows, evidence, len(rows) >= LIMIT)
