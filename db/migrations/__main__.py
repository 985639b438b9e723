"""`python -m db.migrations`: migrate the database named by ERP_DIRECT_DATABASE_URL."""

import os
import sys

from db.migrations import head, migrate

if __name__ == "__main__":
    dsn = os.environ.get("ERP_DIRECT_DATABASE_URL")
    if not dsn:
        sys.exit("ERP_DIRECT_DATABASE_URL is not set: migrations need a direct connection as the owner.")
    migrate(dsn)
    print(f"schema is at revision {head()}")
