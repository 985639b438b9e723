"""When a key was last used, as its owner sees it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from erp.http.gate import Gate
from tests.api.whole.conftest import Tenant, client_of
from tests.services import Services
from tests.standbys import catch_up


async def keys(tenant: Tenant, **query: Any) -> dict[str, Any]:
    return {key["name"]: key for key in (await tenant.get("/v1/api-keys", **query))["data"]}


async def test_the_list_of_keys_says_when_each_was_last_used(gate: Gate, tenant: Tenant, services: Services) -> None:
    used = await tenant.make("api-keys", name="used", role="sales")
    await tenant.make("api-keys", name="unused", role="sales")
    before = datetime.now(UTC)
    async with client_of(gate, used["secret"]) as client:
        for path in ("/v1/parties", "/v1/nothing", "/v1/trial-balance"):  # answered, missing, forbidden: all are uses
            await client.get(path)
        await gate._services.usage.flush()
        catch_up(services)
        listed = await keys(tenant)
        assert listed["unused"]["last_used_at"] is None
        moment = datetime.fromisoformat(listed["used"]["last_used_at"])
        assert before <= moment <= datetime.now(UTC)
        # The same within the minute, and no other version for it.
        await client.get("/v1/parties")
        await gate._services.usage.flush()
    catch_up(services)
    reply = await tenant.client.get(f"/v1/api-keys/{used['id']}")
    assert (reply.json()["last_used_at"], reply.headers["etag"]) == (listed["used"]["last_used_at"], '"1"')


async def test_keys_that_were_not_used_lately_are_found(gate: Gate, tenant: Tenant, services: Services) -> None:
    await tenant.make("api-keys", name="unused", role="sales")
    await tenant.get("/v1/parties")
    await gate._services.usage.flush()
    catch_up(services)
    recent = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    assert "unused" not in await keys(tenant, **{"last_used_at.gte": recent})
    assert len(await keys(tenant, **{"last_used_at.gte": recent})) == 1


async def test_a_wrong_secret_is_no_use_of_a_key(gate: Gate, tenant: Tenant) -> None:
    victim = await tenant.make("api-keys", name="victim", role="sales")
    async with client_of(gate, victim["secret"][:-4] + "0000") as client:
        assert (await client.get("/v1/parties")).status_code in (401, 429)
    await gate._services.usage.flush()
    assert (await keys(tenant))["victim"]["last_used_at"] is None
