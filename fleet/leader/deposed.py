"""What a leader that is none any more runs into."""


class Deposed(Exception):
    """The lead is another's by now: what was about to be done under it is not done."""
