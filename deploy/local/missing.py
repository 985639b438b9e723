"""`python -m deploy.local.missing`: names the server programs this machine lacks, one a line."""

import tempfile
from pathlib import Path

from deploy.local.accounts import service_account
from deploy.local.binaries import find_postgres, find_redis, which
from deploy.local.errors import MissingProgram


def missing_programs() -> list[str]:
    """Of postgresql, redis-server, pgbouncer, nginx: those not found. The first two are indispensable."""
    lacking = []
    with tempfile.TemporaryDirectory() as copies:
        for name, find in (("postgresql", find_postgres), ("redis-server", find_redis)):
            try:
                find(service_account(), Path(copies))
            except MissingProgram:
                lacking.append(name)
    return lacking + [name for name in ("pgbouncer", "nginx") if which(name) is None]


if __name__ == "__main__":
    print("\n".join(missing_programs()))
