"""Imports: rows stored at once, booked later one by one, with progress and an outcome for each."""
