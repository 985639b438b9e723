"""The whole application and its tenants, as in the API tests."""

from tests.api.whole.conftest import gate, newcomer, operator, tenant

__all__ = ["gate", "newcomer", "operator", "tenant"]
