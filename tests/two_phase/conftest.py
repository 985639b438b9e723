from tests.api.whole.conftest import gate, newcomer, operator, tenant
from tests.workers.conftest import Tables

__all__ = ["Tables", "gate", "newcomer", "operator", "tenant"]
