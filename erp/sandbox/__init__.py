"""Stand-ins for services of others, as processes of their own with books of their own."""
