"""Sales orders that come again by the clock."""
