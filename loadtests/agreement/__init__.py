"""`python -m loadtests.agreement`: what agreeing costs, each mechanism beside its bare limit in the same run."""
