"""Who runs in the fleet, how it does, and how one process tells or asks another. For operators, never for routing."""
