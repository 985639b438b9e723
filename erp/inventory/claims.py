"""What commands that hold or move goods lock, for those who run several in one transaction."""

from collections.abc import Iterable
from uuid import UUID

from erp.accounting.claims import days_of, ledger_claims
from erp.inventory.claims_repository import PEEK_RESERVATION
from erp.inventory.facts import locations_facts
from erp.inventory.schemas import CreateAdjustmentInput, CreateReservationInput, ExtendReservationInput
from erp.inventory.stock import Pair, arrival_saves, cost_loads, level_loads
from erp.kernel.text import decimal
from erp.pricing.facts import selling_facts
from tenancy.concurrency import Asked, Claim, LockRank, inputs, locked_by, targets
from tenancy.locks import stock_name
from tenancy.work import UnitOfWork

locked_by("arriving_goods", arrival_saves)
locked_by("stock_levels", lambda pairs: [level_loads(pairs)])
locked_by("product_costs", lambda keys: [cost_loads([product for (product,) in keys])])

#: A product and where it is named to be; None for the default location.
Named = tuple[UUID, UUID | None]


async def pairs_named(work: UnitOfWork, named: Iterable[Named]) -> dict[Named, Pair]:
    """The stock levels that are meant; what is not kept in stock, or not there, is left out."""
    wanted = set(named)
    places, facts = await work.peek(
        locations_facts(sorted({place for _, place in wanted if place is not None})),
        selling_facts(sorted({product for product, _ in wanted}), work.today),
    )
    stocked = {row.product_id for row in facts if row.kind == "stocked"}
    where: dict[UUID | None, UUID] = {row.id: row.id for row in places}
    where.update((None, row.id) for row in places if row.is_default)
    return {
        (product, place): (product, where[place])
        for product, place in wanted
        if product in stocked and place in where
    }


def level_claims(pairs: Iterable[Pair]) -> list[Claim]:
    """The levels of goods that are reserved or released."""
    return [Claim(LockRank.STOCK_LEVEL, "stock_levels", pair, stock_name(*pair)) for pair in pairs]


def goods_claims(pairs: Iterable[Pair], *, arriving: Iterable[Pair] = ()) -> list[Claim]:
    """The levels and costs of goods that move. `arriving`: those that may come for the first time."""
    moving = set(pairs)
    return [
        *(Claim(LockRank.ARRIVAL, "arriving_goods", pair) for pair in arriving),
        *level_claims(moving),
        *(Claim(LockRank.COST, "product_costs", (product,)) for product, _ in moving),
    ]


async def claims_of_adjustments(work: UnitOfWork, asked: list[Asked[CreateAdjustmentInput]]) -> list[Claim]:
    lines = [line for data in inputs(asked) for line in data.lines]
    pairs = await pairs_named(work, ((line.product_id, line.location_id) for line in lines))
    found = {(line.product_id, line.location_id) for line in lines if decimal(line.quantity) > 0}
    return [
        *goods_claims(pairs.values(), arriving=(pair for named, pair in pairs.items() if named in found)),
        *ledger_claims(days_of(work, asked), "adjustment"),
    ]


async def claims_of_new_reservations(work: UnitOfWork, asked: list[Asked[CreateReservationInput]]) -> list[Claim]:
    named = ((data.product_id, data.location_id) for data in inputs(asked))
    return level_claims((await pairs_named(work, named)).values())


async def claims_of_reservations(work: UnitOfWork, asked: list[Asked[ExtendReservationInput]]) -> list[Claim]:
    """The levels in front of the reservations: who holds those has the reservations to himself."""
    found = await work.peek(*(PEEK_RESERVATION(id=target) for target in targets(asked)))
    return level_claims((row.product_id, row.location_id) for rows in found for row in rows)
