"""Before a period is closed: what would hinder it."""
