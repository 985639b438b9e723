"""What commands on orders, deliveries and direct sales lock, for those who run several in one transaction."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from erp.accounting.claims import days_of, ledger_claims
from erp.inventory.claims import goods_claims, level_claims, pairs_named
from erp.inventory.stock import Pair
from erp.parties.facts import locked_limits, parties_facts
from erp.sales.claims_repository import CLAIMED_BY_ORDERS, LOCK_ORDERS, ClaimedRow
from erp.sales.repository import DELIVERY, DELIVERY_LINES
from erp.sales.schemas import (
    CreateOrderInput,
    DeliverOrderInput,
    DirectCreditInput,
    DirectSaleInput,
    ReturnDeliveryInput,
)
from tenancy.concurrency import Asked, Claim, LockRank, claims_of_documents, inputs, locked_by, targets
from tenancy.locks import account_name
from tenancy.work import UnitOfWork

locked_by("sales_orders", lambda keys: [LOCK_ORDERS(ids=[order for (order,) in keys])])
locked_by("parties", lambda keys: [locked_limits([party for (party,) in keys])])

claims_of_headers = claims_of_documents("sales_orders")


async def claims_of_orders(work: UnitOfWork, asked: list[Asked[Any]]) -> list[Claim]:
    """The orders, their customers with a credit limit, and the stock levels of their goods.

    Orders there are not claim nothing: their command says so.
    """
    rows = await _claimed(work, asked)
    return [*_orders(rows), *level_claims(_pairs(rows))]


async def claims_of_deliveries(work: UnitOfWork, asked: list[Asked[DeliverOrderInput]]) -> list[Claim]:
    """The same with what the goods cost, the period and the number of the note."""
    rows = await _claimed(work, asked)
    return [*_orders(rows), *goods_claims(_pairs(rows)), *ledger_claims(days_of(work, asked), "delivery")]


async def claims_of_new_orders(work: UnitOfWork, asked: list[Asked[CreateOrderInput]]) -> list[Claim]:
    """The levels and limits of those that are confirmed at once."""
    confirmed = [data for data in inputs(asked) if data.confirm]
    pairs = await _sold(work, confirmed)
    return [*await _limits(work, (data.party_id for data in confirmed)), *level_claims(pairs)]


async def claims_of_direct_sales(work: UnitOfWork, asked: list[Asked[DirectSaleInput]]) -> list[Claim]:
    sales = inputs(asked)
    pairs = await _sold(work, sales)
    return [
        *await _limits(work, (data.party_id for data in sales if not data.history)),
        *goods_claims(pairs),
        *ledger_claims(days_of(work, asked), "delivery", "invoice"),
    ]


async def claims_of_direct_credits(work: UnitOfWork, asked: list[Asked[DirectCreditInput]]) -> list[Claim]:
    named = ((line.product_id, data.location_id) for data in inputs(asked) for line in data.lines if line.restock)
    pairs = (await pairs_named(work, named)).values()
    return [
        *goods_claims(pairs, arriving=pairs),
        *ledger_claims(days_of(work, asked), "credit_note", "return"),
    ]


async def claims_of_returns(work: UnitOfWork, asked: list[Asked[ReturnDeliveryInput]]) -> list[Claim]:
    """The orders, behind whose locks their deliveries change, and the levels the goods come back to."""
    ids = targets(asked)
    found = await work.peek(
        *(DELIVERY(delivery_id=delivery) for delivery in ids),
        *(DELIVERY_LINES(delivery_id=delivery) for delivery in ids),
    )
    back = {one.target: one.data.location_id for one in asked if one.data is not None}
    named, orders = set(), set()
    for deliveries, lines in zip(found[: len(ids)], found[len(ids) :], strict=True):
        for delivery in deliveries:
            orders.add(delivery.order_id)
            named |= {(line.product_id, back.get(delivery.id) or delivery.location_id) for line in lines}
    pairs = (await pairs_named(work, named)).values()
    return [
        *(Claim(LockRank.DOCUMENT, "sales_orders", (order,)) for order in orders),
        *goods_claims(pairs, arriving=pairs),
        *ledger_claims(days_of(work, asked), "return"),
    ]


async def _claimed(work: UnitOfWork, asked: list[Asked[Any]]) -> list[ClaimedRow]:
    [rows] = await work.peek(CLAIMED_BY_ORDERS(ids=targets(asked)))
    return rows


def _orders(rows: Iterable[ClaimedRow]) -> list[Claim]:
    return [
        claim
        for row in rows
        for claim in (
            Claim(LockRank.DOCUMENT, "sales_orders", (row.order_id,)),
            *([_limit(row.party_id)] if row.limited else []),
        )
    ]


def _pairs(rows: Iterable[ClaimedRow]) -> list[Pair]:
    return [(row.product_id, row.location_id) for row in rows if row.product_id is not None]


async def _sold(work: UnitOfWork, sales: Iterable[CreateOrderInput | DirectSaleInput]) -> list[Pair]:
    named = ((line.product_id, data.location_id) for data in sales for line in data.lines)
    return list((await pairs_named(work, named)).values())


async def _limits(work: UnitOfWork, parties: Iterable[UUID]) -> list[Claim]:
    """Those of the customers that have a credit limit."""
    [found] = await work.peek(parties_facts(sorted(set(parties))))
    return [_limit(party.id) for party in found if party.credit_limit is not None]


def _limit(party_id: UUID) -> Claim:
    return Claim(LockRank.PARTY, "parties", (party_id,), account_name(party_id))
