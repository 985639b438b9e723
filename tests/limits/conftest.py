"""The whole application with quotas that tests set through the operator's API."""

from typing import Any

import httpx

from erp.http.gate import Gate
from tests.api.whole.conftest import Tenant, gate, newcomer, operator, tenant

__all__ = ["gate", "newcomer", "operator", "tenant"]


async def set_quotas(operator: httpx.AsyncClient, tenant: Tenant, **quotas: int | None) -> Any:
    body = {"quotas": quotas, "reason": "For a test"}
    reply = await operator.put(f"/v1/tenants/{tenant.id}/quotas", json=body)
    assert reply.status_code == 200, reply.text
    return reply.json()


async def metered(gate: Gate) -> None:
    """Until what was counted so far is written and what is used up is known."""
    await gate._services.metering.flush()
