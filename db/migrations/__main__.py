"""`python -m db.migrations`: migrate the database named by ERP_DIRECT_DATABASE_URL."""

import os
import sys

from alembic.util import CommandError

from db.migrations import migrate
from db.revisions import head

if __name__ == "__main__":
    dsn = os.environ.get("ERP_DIRECT_DATABASE_URL")
    if not dsn:
        sys.exit("ERP_DIRECT_DATABASE_URL is not set: migrations need a direct connection as the owner.")
    try:
        migrate(dsn)
    except CommandError as error:
        sys.exit(f"{error} Is the database newer than this program, which knows {head()} and older ones?")
    print(f"schema is at revision {head()}")
