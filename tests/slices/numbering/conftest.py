from tests.slices.accounting.books import books, books_database, books_pool

__all__ = ["books", "books_database", "books_pool"]
