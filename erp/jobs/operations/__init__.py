"""Long jobs as resources: somebody asked for one, follows it, reads its log and may cancel it."""
