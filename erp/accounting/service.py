"""The ledger's commands. How other slices post is in `posting`, how they settle in `open_items`."""

from erp.accounting.accounts import create_account, update_account
from erp.accounting.entries import create_entry, reverse_entry
from erp.accounting.periods import close_period, create_periods, reopen_period, snapshot_balances

__all__ = [
    "close_period",
    "create_account",
    "create_entry",
    "create_periods",
    "reopen_period",
    "reverse_entry",
    "snapshot_balances",
    "update_account",
]
