"""From rows to what clients see."""

from datetime import datetime
from typing import Any

import msgspec

from erp.tenants.repository import ApiKeyRow, TenantRow
from erp.tenants.schemas import ApiKeyView, NewApiKeyView, TenantSettings, TenantView


def tenant_view(row: TenantRow) -> TenantView:
    return TenantView(**{**row._asdict(), "settings": msgspec.convert(row.settings, TenantSettings)})


def key_view(row: ApiKeyRow) -> ApiKeyView:
    return ApiKeyView(**_key_fields(row, datetime.now(row.created_at.tzinfo)))


def new_key_view(row: ApiKeyRow, now: datetime, replaces: ApiKeyRow | None = None) -> NewApiKeyView:
    """Without the secret: this is what is stored for repeated requests."""
    return NewApiKeyView(
        **_key_fields(row, now), secret=None, replaces_id=replaces.id if replaces is not None else None
    )


def _key_fields(row: ApiKeyRow, now: datetime) -> dict[str, Any]:
    expired = row.state == "active" and row.expires_at is not None and row.expires_at <= now
    return {**row._asdict(), "state": "expired" if expired else row.state}
