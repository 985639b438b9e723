"""API keys of the tenants made on this machine, kept beside the fleet's own credentials."""

import json

from deploy.local.credentials import write_private
from deploy.local.layout import Layout

_FILE = "tenant-keys.json"


def known_keys(layout: Layout) -> dict[str, str]:
    """Tenant slug -> bearer token of its owner."""
    path = layout.root / _FILE
    if not path.exists():
        return {}
    found: dict[str, str] = json.loads(path.read_text())
    return found


def remember_key(layout: Layout, slug: str, token: str) -> None:
    """Keep a tenant's key, readable by the owner of the state directory only."""
    write_private(layout.root / _FILE, json.dumps({**known_keys(layout), slug: token}, indent=2))
