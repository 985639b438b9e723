from dataclasses import replace

import pytest

from tenancy.database import TenantDatabase
from tests.slices.accounting.books import (
    Books,
    books,
    books_database,
    books_pool,
    books_reads,
    unguarded_database,
)

__all__ = ["books", "books_database", "books_pool", "books_reads", "each_lock", "unguarded_database"]


@pytest.fixture(params=["locks in Redis", "no Redis"])
def each_lock(request: pytest.FixtureRequest, books: Books, unguarded_database: TenantDatabase) -> Books:
    """The books once with the locks in Redis and once with row locks alone."""
    return books if request.param == "locks in Redis" else replace(books, database=unguarded_database)
