"""Whether lines kept for later could become an order today."""

from collections.abc import Sequence
from typing import Protocol

from db.errors import DomainError
from erp.pricing.facts import Conversion, SellingFacts, tax_defaults
from erp.pricing.listed import ListedPrice
from erp.pricing.tax import Rounding
from erp.sales.drafting import goods_of, new_lines, tax_terms
from erp.sales.schemas import OrderLineInput
from tenancy.work import UnitOfWork


class Template(Protocol):
    @property
    def lines(self) -> list[OrderLineInput]: ...
    @property
    def prices_include_tax(self) -> bool | None: ...
    @property
    def tax_rounding(self) -> Rounding | None: ...


def check_lines(
    work: UnitOfWork,
    template: Template,
    facts: Sequence[SellingFacts],
    conversions: Sequence[Conversion],
    listed: Sequence[ListedPrice] = (),
) -> None:
    """Raises what pricing an order's lines raises, with a pointer under /order. `listed`: by `price_loads`."""
    terms = tax_terms(tax_defaults(work.tenant.settings), template.prices_include_tax, template.tax_rounding)
    try:
        new_lines(template.lines, goods_of(facts, conversions, listed), terms, work.tenant.base_currency)
    except DomainError as refusal:
        refusal.pointer = f"/order{refusal.pointer or ''}"
        raise
