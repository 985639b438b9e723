"""Which ERP_* variables our processes read, found in the source itself."""

import functools
import re

from tests.deploy.manifests import ROOT

_NAME = re.compile(r'"(ERP_[A-Z0-9_]+)"')
#: Read by the migration only, which is no instance of the application.
MIGRATION = "ERP_DIRECT_DATABASE_URL"

#: What `erp.settings.load_settings` reads.
SETTINGS = frozenset(_NAME.findall((ROOT / "erp" / "settings.py").read_text())) - {MIGRATION}


@functools.cache
def read_anywhere() -> frozenset[str]:
    """Every name that appears as a string in the packages the image contains."""
    found = {MIGRATION}
    for package in ("db", "fleet", "tenancy", "erp", "workers"):
        for file in (ROOT / package).rglob("*.py"):
            found.update(_NAME.findall(file.read_text()))
    return frozenset(found)
