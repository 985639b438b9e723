"""The series there are, and how a number is written."""

from types import MappingProxyType
from typing import Final

#: Gap-less series, numbered when a document is posted.
NUMBERS: Final = MappingProxyType(
    {
        "invoice": "INV",
        "credit_note": "CN",
        "delivery": "DN",
        "return": "RET",
        "goods_receipt": "GRN",
        "supplier_bill": "BILL",
        "payment": "PAY",
        "adjustment": "ADJ",
        "transfer": "TRF",
        "cost_correction": "COR",
        "journal": "JE",
    }
)

#: References of drafts and orders: unique, handed out in blocks, gaps allowed.
REFERENCES: Final = MappingProxyType({"sales_order": "SO", "purchase_order": "PO"})

#: Digits a number is padded to; a longer one is written in full.
WIDTH: Final = 6


def written(prefix: str, year: int, number: int) -> str:
    """`INV-2026-000001`."""
    return f"{prefix}-{year}-{number:0{WIDTH}d}"
