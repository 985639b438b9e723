from tests.slices.accounting.books import books, books_database, books_pool, books_reads

__all__ = ["books", "books_database", "books_pool", "books_reads"]
