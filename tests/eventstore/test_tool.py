"""`erp events` and `erp projections`, straight on the databases."""

import os
import subprocess
import sys

import pytest

from tests.api.whole.conftest import Tenant
from tests.api.whole.trading import stocked_product
from tests.services import Services
from tests.workers.conftest import Tables

pytestmark = pytest.mark.usefixtures("clean")


async def test_the_tool_verifies_and_says_what_differs(services: Services, tenant: Tenant, tables: Tables) -> None:
    await stocked_product(tenant, "P", "50")
    environment = {**os.environ, **services.environment("tool", "tool"), "COLUMNS": "250"}

    def erp(*words: str) -> tuple[int, str]:
        command = (sys.executable, "-c", "from erp.cli import main; main()", *words)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    code, told = erp("events", "verify", "--tenant", tenant.slug)
    assert code == 0, told
    tables.rows("UPDATE stock_levels SET on_hand = 51 WHERE tenant_id = %(id)s", id=tenant.id)
    code, told = erp("events", "verify", "--tenant", tenant.slug)
    assert code == 1, told
    assert "on_hand 51 50" in told
    code, told = erp("projections", "list", "--tenant", tenant.slug)
    assert code == 0, told
    assert "stock-movements" in told
