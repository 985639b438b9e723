"""Parties: created, changed, found."""

from typing import Any
from uuid import uuid4

import pytest
from psycopg.types.json import Jsonb

from db.errors import Duplicate
from db.identifiers import new_id
from db.statement import Bound
from erp.http.listing import Shape
from erp.kernel.errors import Invalid, InvalidAmount, NotFound
from erp.parties import seed
from erp.parties.errors import NotACustomer, NotASupplier, PartyInactive
from erp.parties.facts import (
    CASH_SALES_CODE,
    PartyFacts,
    cash_sales_party,
    customer_of,
    parties_facts,
    party_facts,
    supplier_of,
)
from erp.parties.queries import PARTIES, PARTY
from erp.parties.repository import ADD_PARTY, PartyRow
from erp.parties.schemas import Address, Contact, CreatePartyInput, PartyView, UpdatePartyInput
from erp.parties.service import create_party, party_view, update_party
from tenancy.errors import VersionConflict
from tenancy.work import UnitOfWork
from tests.slices.inventory.shop import Shop

FULL = CreatePartyInput(
    code="ACME", name="Acme Ltd", is_customer=True, is_supplier=True, email="orders@acme.example",
    phone="+44 20 7946 0018", tax_id="GB123456789", country="GB", payment_terms_days=14, credit_limit="1500.5",
    addresses=[Address(kind="shipping", street="1 High Street", city="Leeds", postal_code="LS1 1AA", country="GB")],
    contacts=[Contact(name="Ann Lee", role="Buyer", email="ann@acme.example")], external_id="crm:7",
)  # fmt: skip


async def events(shop: Shop, party: Any) -> list[Any]:
    sql = (
        "SELECT type || ' ' || data::text FROM events WHERE tenant_id = %(tenant_id)s AND aggregate_id = %(id)s"
        " ORDER BY version"
    )
    return await shop.column(sql, id=party)


async def test_what_is_read_is_what_was_created(shop: Shop) -> None:
    created = await shop.run(create_party, FULL)
    assert (created.version, created.active, created.credit_limit) == (1, True, "1500.50")
    [row] = await shop.rows(PARTY(party_id=created.id))
    assert party_view(row) == created


async def test_creating_takes_one_round_trip(shop: Shop) -> None:
    _, trips = await shop.counted(create_party, FULL)
    assert trips.postgres == 1


async def test_codes_are_unique_and_case_sensitive(shop: Shop) -> None:
    await shop.run(create_party, CreatePartyInput(code="x1", name="One", is_customer=True))
    await shop.run(create_party, CreatePartyInput(code="X1", name="Two", is_customer=True))
    with pytest.raises(Duplicate) as refusal:
        await shop.run(create_party, CreatePartyInput(code="x1", name="Three", is_customer=True))
    assert (refusal.value.pointer, refusal.value.facts["fields"]) == ("/code", ["code"])


async def test_an_external_id_comes_once(shop: Shop) -> None:
    await shop.run(create_party, CreatePartyInput(code="A", name="One", is_customer=True, external_id="crm:1"))
    with pytest.raises(Duplicate) as refusal:
        await shop.run(create_party, CreatePartyInput(code="B", name="Two", is_customer=True, external_id="crm:1"))
    assert refusal.value.pointer == "/external_id"


async def test_a_party_is_a_customer_or_a_supplier(shop: Shop) -> None:
    with pytest.raises(Invalid):
        await shop.run(create_party, CreatePartyInput(code="A", name="Nobody"))
    party = await shop.run(create_party, CreatePartyInput(code="A", name="Somebody", is_customer=True))
    with pytest.raises(Invalid):
        await shop.run(update_party, party.id, UpdatePartyInput(is_customer=False))


async def test_a_credit_limit_has_the_currencys_decimals(shop: Shop) -> None:
    with pytest.raises(InvalidAmount) as refusal:
        await shop.run(create_party, CreatePartyInput(code="A", name="A", is_customer=True, credit_limit="1.005"))
    assert refusal.value.pointer == "/credit_limit"


async def test_only_what_was_sent_changes(shop: Shop) -> None:
    party = await shop.run(create_party, FULL)
    changed = await shop.run(
        update_party, party.id, UpdatePartyInput(name="Acme plc", email=None, credit_limit=None, contacts=[])
    )
    assert (changed.version, changed.name, changed.email, changed.credit_limit) == (2, "Acme plc", None, None)
    assert (changed.contacts, changed.addresses) == ([], party.addresses)
    assert (changed.code, changed.external_id, changed.payment_terms_days) == ("ACME", "crm:7", 14)
    [row] = await shop.rows(PARTY(party_id=party.id))
    assert party_view(row) == changed


async def test_a_change_of_nothing_is_no_version(shop: Shop) -> None:
    party = await shop.run(create_party, FULL)
    assert await shop.run(update_party, party.id, UpdatePartyInput(name="Acme Ltd", credit_limit="1500.50")) == party
    assert len(await events(shop, party.id)) == 1


async def test_an_old_version_is_refused(shop: Shop) -> None:
    party = await shop.run(create_party, FULL)

    async def stale(work: UnitOfWork) -> PartyView:
        work.expected_version = 2
        return await update_party(work, party.id, UpdatePartyInput(name="Late"))

    with pytest.raises(VersionConflict) as refusal:
        await shop.run(stale)
    assert refusal.value.facts["current_version"] == 1


async def test_an_unknown_party_is_not_found(shop: Shop) -> None:
    with pytest.raises(NotFound):
        await shop.run(update_party, uuid4(), UpdatePartyInput(name="X"))


async def test_events_tell_of_personal_data_only_that_it_changed(shop: Shop) -> None:
    party = await shop.run(create_party, FULL)
    await shop.run(update_party, party.id, UpdatePartyInput(phone="+44 113 496 0000", name="Acme plc"))
    created, changed = await events(shop, party.id)
    assert "party.created" in created
    assert "Acme Ltd" in created
    assert all(secret not in created + changed for secret in ("@acme", "7946", "496 0000", "High Street", "Ann Lee"))
    assert '"changed": ["phone"]' in changed


async def test_the_audit_tells_before_and_after(shop: Shop) -> None:
    party = await shop.run(create_party, FULL)
    await shop.run(update_party, party.id, UpdatePartyInput(name="Acme plc"))
    sql = (
        "SELECT (before->>'name') || ' > ' || (after->>'name') FROM audit_entries"
        " WHERE tenant_id = %(tenant_id)s AND target_id = %(id)s AND action = 'party.update'"
    )
    assert await shop.column(sql, id=party.id) == ["Acme Ltd > Acme plc"]


async def test_facts_name_who_may_buy_and_sell(shop: Shop) -> None:
    customer = await shop.run(create_party, CreatePartyInput(code="C", name="C", is_customer=True))
    supplier = await shop.run(create_party, CreatePartyInput(code="S", name="S", is_supplier=True))
    rows = await shop.rows(parties_facts([customer.id, supplier.id]))
    assert customer_of(rows, customer.id).code == "C"
    assert supplier_of(rows, supplier.id).payment_terms_days == 30
    with pytest.raises(NotACustomer):
        customer_of(rows, supplier.id)
    with pytest.raises(NotASupplier):
        supplier_of(rows, customer.id)
    await shop.run(update_party, customer.id, UpdatePartyInput(active=False))
    with pytest.raises(PartyInactive):
        customer_of(await shop.rows(party_facts(customer.id)), customer.id)


async def test_every_tenant_has_a_party_for_cash_sales(shop: Shop) -> None:
    async def provision(work: UnitOfWork) -> None:
        seed.seed(work)

    await shop.run(provision)
    found: list[PartyFacts] = await shop.rows(cash_sales_party())
    assert [(party.code, party.is_customer, party.payment_terms_days) for party in found] == [
        (CASH_SALES_CODE, True, 0)
    ]


@pytest.mark.parametrize("name", ["search", "code.prefix"])
async def test_searching_by_beginning_reads_an_index_under_row_level_security(shop: Shop, name: str) -> None:
    async def crowd(work: UnitOfWork) -> None:
        for number in range(2000):
            work.save(
                ADD_PARTY(
                    id=new_id(), code=f"P{number:05}", name=f"Party {number:05}", is_customer=True,
                    is_supplier=False, email=None, phone=None, tax_id=None, country=None, payment_terms_days=0,
                    credit_limit=None, price_list_id=None, addresses=Jsonb([]), contacts=Jsonb([]), active=True,
                    external_id=None, created_at=work.now,
                )
            )  # fmt: skip

    await shop.run(crowd)
    shop.tamper("ANALYZE parties")
    parameter = PARTIES.parameters[name]
    wanted = {"search": "PARTY 0012", "code.prefix": "P0012"}[name]
    statement = PARTIES.statement(Shape("code", (name,), False))
    bound = statement(**{parameter.bind: parameter.parse(wanted), "page_size": 50})
    assert [PartyRow(*row[:-2]).code for row in await shop.rows(bound)] == [f"P0012{digit}" for digit in range(10)]
    plan = await shop.rows(Bound("EXPLAIN " + bound.sql, bound.parameters, None, True))
    text = "\n".join(line for (line,) in plan)
    # A beginning of a code is a range of the unique key too; which of the two is cheaper depends on the sample.
    indexes = {"search": ("parties_search_name",), "code.prefix": ("parties_search_code", "parties_code_key")}[name]
    assert any(index in text for index in indexes), text
