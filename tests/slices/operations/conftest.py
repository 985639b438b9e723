from tests.api.whole.conftest import gate, newcomer, operator, tenant

__all__ = ["gate", "newcomer", "operator", "tenant"]
