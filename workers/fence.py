"""The fence of a job: whoever has lost it writes nothing."""


class Fenced(Exception):
    """Another worker owns the job now; whatever this one was about to write was rolled back."""
