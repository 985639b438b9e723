"""The commands of trading between tenants."""

from erp.intercompany.links import create_link, update_link
from erp.intercompany.selling import create_sale

__all__ = ["create_link", "create_sale", "update_link"]
