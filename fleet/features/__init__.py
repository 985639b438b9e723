"""Features that turn on only when every live instance has acknowledged that it can: safe rolling upgrades."""
