"""`erp usage` and `erp quotas` against the application over real HTTP."""

import json
import uuid

from tests.api.whole.conftest import Newcomer
from tests.configuration.test_cli import url as url
from tests.instances.test_cli import Cli
from tests.instances.test_cli import cli as cli


async def test_a_plans_and_a_tenants_quotas_from_the_command_line(cli: Cli, newcomer: Newcomer) -> None:
    plan = f"plan-{uuid.uuid4().hex[:8]}"
    tenant = await newcomer(plan=plan)
    told = await cli("quotas", "set", "products=50", "documents=9000", "--plan", plan, "--reason", "New plan")
    assert "9,000" in told
    await cli("quotas", "set", "products=7", "parties=none", "--tenant", tenant.slug, "--reason", "A small shop")
    shown = json.loads(await cli("quotas", "show", tenant.id, "--json"))
    assert shown["quotas"] == {"products": 7, "parties": None}
    assert (shown["effective"]["products"], shown["effective"]["documents"]) == (7, 9000)
    # What is not named stays; what is inherited again is the plan's.
    await cli("quotas", "set", "products=inherit", "--tenant", tenant.slug, "--reason", "As the others")
    shown = json.loads(await cli("quotas", "show", tenant.slug, "--json"))
    assert (shown["quotas"], shown["effective"]["products"]) == ({"parties": None}, 50)
    assert "set here" in await cli("quotas", "show", tenant.slug)

    assert "There is no quota `sessions`" in await cli(
        "quotas", "set", "sessions=1", "--plan", plan, "--reason", "Nonsense", code=2
    )
    assert "a number" in await cli("quotas", "set", "rows=-1", "--plan", plan, "--reason", "Nonsense", code=2)
    assert "There is no tenant" in await cli("quotas", "show", "nobody-of-that-name", code=2)
    assert "either a tenant or a plan" in await cli("quotas", "show", code=2)


async def test_a_tenant_sees_its_usage_from_the_command_line(cli: Cli, newcomer: Newcomer) -> None:
    tenant = await newcomer()
    await tenant.make("products", code="P", name="Product")
    used = json.loads(await cli("usage", "--json", "--months", key=tenant.key))
    assert (used["counted"]["products"], used["quotas"]["api_keys"]) == (1, 1000)
    assert isinstance(used["months"], list)
    table = await cli("usage", key=tenant.key)
    assert "products" in table
    assert "no bound" in table


async def test_the_operator_sees_a_tenants_usage_from_the_command_line(cli: Cli, newcomer: Newcomer) -> None:
    tenant = await newcomer()
    await tenant.make("products", code="P", name="Product")
    used = json.loads(await cli("quotas", "usage", tenant.slug, "--json"))
    assert (used["counted"]["products"], used["quotas"]["api_keys"]) == (1, 1000)
    assert "no bound" in await cli("quotas", "usage", tenant.id)
    assert "There is no tenant" in await cli("quotas", "usage", "nobody-of-that-name", code=2)
