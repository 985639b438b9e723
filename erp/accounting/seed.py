"""The books of a new tenant: accounts and roles from a template, journals, monthly periods."""

from datetime import date

from db.identifiers import new_id
from erp.accounting.accounts_repository import SEED_ACCOUNTS, SEED_JOURNALS, SEED_ROLES
from erp.accounting.chart import JOURNALS, TEMPLATES
from erp.accounting.periods import months_from
from erp.accounting.repository import ADD_PERIODS
from erp.kernel.errors import Invalid
from tenancy.work import UnitOfWork

__all__ = ["TEMPLATES", "seed"]


def seed(work: UnitOfWork, template: str, first_month: date, months: int) -> None:
    """Queue the books. Raises Invalid for a template there is not."""
    try:
        chart = TEMPLATES[template]
    except KeyError:
        raise Invalid(f"There is no chart `{template}`.", pointer="/chart", known=sorted(TEMPLATES)) from None
    spans = months_from(first_month, months)
    work.save(
        SEED_ACCOUNTS(
            ids=[new_id() for _ in chart.accounts],
            codes=[code for code, _, _, _ in chart.accounts],
            names=[name for _, _, name, _ in chart.accounts],
            types=[type_ for _, type_, _, _ in chart.accounts],
        ),
        SEED_ROLES(roles=list(chart.roles), codes=list(chart.roles.values())),
        SEED_JOURNALS(codes=list(JOURNALS), names=list(JOURNALS.values())),
        ADD_PERIODS(
            ids=[new_id() for _ in spans], starts=[start for start, _ in spans], ends=[end for _, end in spans]
        ),
    )
