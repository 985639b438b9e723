"""`python -m workers.statements`: list every statement of the programs for poolers that prepare them.

Needed where PgBouncer is older than 1.21, after the migrations, before its server connections are opened.
"""

import os
import pkgutil
import sys
from collections.abc import Iterator
from importlib import import_module

import erp
import tenancy
import workers
from db.pipeline import positional
from db.registry import register
from db.statement import REGISTERED

#: Modules that start a process or an actor when imported.
_PROGRAMS = ("__main__", "workers.main", "workers.statements")


def texts() -> Iterator[bytes]:
    """Every statement's text as the server gets it."""
    for package in (tenancy, erp, workers):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith(_PROGRAMS):
                import_module(module.name)
    return (positional(sql) for sql in REGISTERED)


if __name__ == "__main__":
    dsn = os.environ.get("ERP_DIRECT_DATABASE_URL")
    if not dsn:
        sys.exit("ERP_DIRECT_DATABASE_URL is not set: statements are listed over a direct connection as the owner.")
    print(f"{register(dsn, texts())} statements listed")
