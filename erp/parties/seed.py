"""The party every tenant starts with: sales to customers nobody wrote down."""

from psycopg.types.json import Jsonb

from db.identifiers import new_id
from erp.parties.facts import CASH_SALES_CODE
from erp.parties.repository import ADD_PARTY
from tenancy.work import UnitOfWork


def seed(work: UnitOfWork) -> None:
    """Queue the cash-sales party: a customer who pays at once."""
    work.save(
        ADD_PARTY(
            id=new_id(), code=CASH_SALES_CODE, name="Cash sales", is_customer=True, is_supplier=False, email=None,
            phone=None, tax_id=None, country=work.tenant.country, payment_terms_days=0, credit_limit=None,
            price_list_id=None, addresses=Jsonb([]), contacts=Jsonb([]), active=True,
            external_id="cash-sales", created_at=work.now,
        )
    )  # fmt: skip
