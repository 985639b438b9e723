from tests.api.whole.conftest import gate, newcomer, operator, tenant
from tests.configuration.test_cli import url

__all__ = ["gate", "newcomer", "operator", "tenant", "url"]
