"""`python -m loadtests.load`: the Locust stories against the local fleet, held to `budgets.toml`."""
