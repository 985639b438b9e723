"""Tax groups with dated rates, and what documents read of them."""

from datetime import date
from decimal import Decimal
from uuid import uuid4

import pytest

from db.errors import Duplicate
from erp.catalog.schemas import CreateProductInput, ProductUnit, UpdateProductInput
from erp.catalog.service import create_product, update_product
from erp.kernel.errors import Invalid, NotFound
from erp.pricing import seed
from erp.pricing.errors import NoTaxRate, TaxRatesOverlap
from erp.pricing.facts import conversions, group_rates, selling_facts, tax_defaults
from erp.pricing.queries import TAX_GROUP
from erp.pricing.schemas import CreateTaxGroupInput, TaxGroupView, TaxRate, UpdateTaxGroupInput
from erp.pricing.service import checked_rates, create_tax_group, tax_group_view, update_tax_group
from tenancy.work import UnitOfWork
from tests.slices.inventory.shop import Shop


def rate(percent: str, start: str, end: str | None = None) -> TaxRate:
    return TaxRate(
        rate=percent, valid_from=date.fromisoformat(start), valid_to=date.fromisoformat(end) if end else None
    )


GERMAN = [rate("19", "2007-01-01", "2020-06-30"), rate("16", "2020-07-01", "2020-12-31"), rate("19", "2021-01-01")]


async def standard(shop: Shop) -> TaxGroupView:
    return await shop.run(create_tax_group, CreateTaxGroupInput(code="std", name="Standard", rates=GERMAN))


async def test_what_is_read_is_what_was_created(shop: Shop) -> None:
    group = await standard(shop)
    [row] = await shop.rows(TAX_GROUP(tax_group_id=group.id))
    assert tax_group_view(row) == group


async def test_the_rate_of_the_day_counts(shop: Shop) -> None:
    group = await standard(shop)
    product = await shop.run(create_product, CreateProductInput(code="P", name="P", tax_group_id=group.id))
    for day, percent in (
        ("2020-06-30", "19"), ("2020-07-01", "16"), ("2020-12-31", "16"), ("2021-01-01", "19"), ("2099-01-01", "19"),
    ):  # fmt: skip
        [facts] = await shop.rows(selling_facts([product.id], date.fromisoformat(day)))
        assert facts.tax_rate == Decimal(percent)
    [facts] = await shop.rows(selling_facts([product.id], date(2006, 12, 31)))
    with pytest.raises(NoTaxRate):
        _ = facts.tax_rate
    assert (group.id, Decimal(16)) in await shop.rows(group_rates(date(2020, 8, 1)))


async def test_a_product_without_a_group_is_untaxed(shop: Shop) -> None:
    product = await shop.run(
        create_product, CreateProductInput(code="P", name="Plain", sale_price="1.25", unit="m", kind="service")
    )
    [facts] = await shop.rows(selling_facts([product.id], date(2026, 1, 1)))
    assert (facts.tax_rate, facts.sale_price, facts.unit_code, facts.unit_decimals, facts.kind, facts.active) == (
        Decimal(0), Decimal("1.25"), "m", 3, "service", True,
    )  # fmt: skip
    await shop.run(update_product, product.id, UpdateProductInput(active=False))
    [facts] = await shop.rows(selling_facts([product.id], date(2026, 1, 1)))
    assert not facts.active


async def test_conversions_name_every_unit_of_a_product(shop: Shop) -> None:
    product = await shop.run(
        create_product,
        CreateProductInput(code="P", name="P", units=[ProductUnit(unit="kg", numerator=3, denominator=7)]),
    )
    found = await shop.rows(conversions([product.id]))
    assert sorted((row.unit_code, row.numerator, row.denominator) for row in found) == [("kg", 3, 7), ("pcs", 1, 1)]


async def test_a_new_rate_ends_the_present_one(shop: Shop) -> None:
    group = await standard(shop)
    rates = [*GERMAN[:2], rate("19", "2021-01-01", "2026-12-31"), rate("20", "2027-01-01")]
    changed = await shop.run(update_tax_group, group.id, UpdateTaxGroupInput(rates=list(reversed(rates))))
    assert (changed.version, changed.rates) == (2, rates)
    [row] = await shop.rows(TAX_GROUP(tax_group_id=group.id))
    assert tax_group_view(row) == changed
    assert await shop.run(update_tax_group, group.id, UpdateTaxGroupInput(rates=rates)) == changed


async def test_rates_do_not_overlap(shop: Shop) -> None:
    group = await standard(shop)
    for rates in (
        [*GERMAN, rate("20", "2027-01-01")],
        [rate("19", "2021-01-01", "2026-12-31"), rate("20", "2026-12-31")],
        [rate("19", "2021-01-01"), rate("20", "2021-01-01")],
    ):
        with pytest.raises(TaxRatesOverlap):
            await shop.run(update_tax_group, group.id, UpdateTaxGroupInput(rates=rates))


async def test_spans_end_after_they_start(shop: Shop) -> None:
    with pytest.raises(Invalid) as refusal:
        checked_rates([rate("19", "2021-01-01", "2020-12-31")])
    assert refusal.value.pointer == "/rates/0/valid_to"
    assert checked_rates([rate("19.00", "2021-01-01", "2021-01-01")])[0].rate == "19"


async def test_codes_come_once(shop: Shop) -> None:
    await standard(shop)
    with pytest.raises(Duplicate):
        await standard(shop)
    with pytest.raises(NotFound):
        await shop.run(update_tax_group, uuid4(), UpdateTaxGroupInput(name="X"))


async def test_a_tenant_starts_with_its_countrys_rates(shop: Shop) -> None:
    async def provision(work: UnitOfWork) -> None:
        seed.seed(work)

    await shop.run(provision)
    rates = {
        (day.year, row.rate)
        for day in (date(2008, 6, 1), date(2009, 6, 1), date(2010, 6, 1), date(2026, 6, 1))
        for row in await shop.rows(group_rates(day))
    }
    assert {(2008, Decimal("17.5")), (2009, Decimal(15)), (2010, Decimal("17.5")), (2026, Decimal(20))} <= rates


def test_tax_habits_come_from_the_tenants_settings() -> None:
    assert tax_defaults({}) == tax_defaults({"sales.tax_rounding": "line", "sales.prices_include_tax": False})
    habits = tax_defaults({"sales.tax_rounding": "document", "sales.prices_include_tax": True})
    assert (habits.rounding, habits.prices_include_tax) == ("document", True)
