"""The lead of the fleet: the row that says who has it, and the history of its terms."""
