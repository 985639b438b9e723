from tests.api.whole.conftest import gate, newcomer, operator, tenant
from tests.slices.accounting.books import books_database, books_pool, books_reads, unguarded_database
from tests.slices.inventory.shop import shop

__all__ = [
    "books_database",
    "books_pool",
    "books_reads",
    "gate",
    "newcomer",
    "operator",
    "shop",
    "tenant",
    "unguarded_database",
]
