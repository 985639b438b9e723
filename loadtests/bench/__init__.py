"""`python -m loadtests.bench`: the fleet through nginx and TLS, beside the bare limit of the same SQL."""
