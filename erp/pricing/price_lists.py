"""Commands of price lists: made and changed, deactivated instead of removed; prices are set and taken out."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import groupby, pairwise
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET

from db.identifiers import new_id
from erp.kernel.errors import Invalid, NotFound, UnknownReference
from erp.kernel.quantity import NotRepresentable, quantity_text
from erp.kernel.text import decimal
from erp.pricing.errors import CurrencyNotKept, PricesOverlap
from erp.pricing.facts import SellingFacts, selling_facts
from erp.pricing.price_list_schemas import (
    CreatePriceListInput,
    PriceListItemInput,
    PriceListItemsView,
    PriceListItemView,
    PriceListView,
    RemovePriceListItemsInput,
    SetPriceListItemsInput,
    UpdatePriceListInput,
)
from erp.pricing.price_lists_repository import (
    ADD_PRICE_LIST,
    CHANGING_LIST,
    DROP_ITEMS,
    ITEM_ARRAYS,
    ITEMS_BY_ID,
    ITEMS_OF_PRODUCTS,
    LOCK_PRICE_LIST,
    MOVE_PRICE_LIST,
    SET_ITEMS,
    SET_PRICE_LIST,
    PriceListItemRow,
    PriceListRow,
)
from tenancy.trail import Event
from tenancy.work import UnitOfWork

#: What makes a price this one and no other: product, quantity and first day.
Place = tuple[UUID, Decimal, Any]


async def create_price_list(work: UnitOfWork, data: CreatePriceListInput) -> PriceListView:
    """Raises Duplicate for a taken code or external id, CurrencyNotKept."""
    currency = work.tenant.base_currency
    if data.currency not in (None, currency):
        raise CurrencyNotKept(f"Documents are in {currency}.", pointer="/currency", currency=currency)
    row = PriceListRow(new_id(), 1, data.code, data.name, currency, True, data.external_id, work.now)
    work.save(ADD_PRICE_LIST(id=row.id, currency=currency, created_at=row.created_at, **_changing(row)))
    work.publish(Event("price_list", row.id, 1, "price_list.created", _facts(row)))
    work.audit("price_list.create", "price_list", row.id, after=_facts(row))
    return price_list_view(row)


async def update_price_list(work: UnitOfWork, price_list_id: UUID, data: UpdatePriceListInput) -> PriceListView:
    """Change what was sent. Raises NotFound, VersionConflict, Duplicate."""
    [found] = await work.load(LOCK_PRICE_LIST(price_list_id=price_list_id))
    before = _locked(work, found, price_list_id)
    sent = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}
    after = before._replace(**sent)
    if after == before:
        return price_list_view(before)
    after = after._replace(version=before.version + 1)
    work.save(SET_PRICE_LIST(price_list_id=price_list_id, **_changing(after)))
    work.publish(Event("price_list", price_list_id, after.version, "price_list.updated", _facts(after)))
    work.audit("price_list.update", "price_list", price_list_id, before=_facts(before), after=_facts(after))
    return price_list_view(after)


async def set_items(work: UnitOfWork, price_list_id: UUID, data: SetPriceListItemsInput) -> PriceListItemsView:
    """Add prices, or put others in their places; what is as it was asked for stays, without a new version.

    Raises NotFound, VersionConflict, UnknownReference, NotRepresentable, Invalid and PricesOverlap, the last four
    with a pointer to the item.
    """
    products = sorted({item.product_id for item in data.items})
    found, there, facts = await work.load(
        LOCK_PRICE_LIST(price_list_id=price_list_id),
        ITEMS_OF_PRODUCTS(price_list_id=price_list_id, product_ids=products), selling_facts(products, work.today),
    )  # fmt: skip
    before = _locked(work, found, price_list_id)
    present = {_place(row): row for row in there}
    wanted = wanted_items(data.items, {row.product_id: row for row in facts}, present)
    check_apart([*(row for place, row in present.items() if place not in wanted), *wanted.values()], list(wanted))
    changed = [row for place, row in wanted.items() if present.get(place) != row]
    version = before.version
    if changed:
        work.save(SET_ITEMS(price_list_id=price_list_id, **_arrays(changed)))
        replaced = [present[_place(row)] for row in changed if _place(row) in present]
        version = _move(work, before, {"set": changed}, was=replaced, now=changed)
    return PriceListItemsView(id=price_list_id, version=version, items=[item_view(row) for row in wanted.values()])


async def remove_items(work: UnitOfWork, price_list_id: UUID, data: RemovePriceListItemsInput) -> PriceListItemsView:
    """Take prices out. Raises NotFound, VersionConflict, UnknownReference."""
    found, there = await work.load(
        LOCK_PRICE_LIST(price_list_id=price_list_id),
        ITEMS_BY_ID(price_list_id=price_list_id, item_ids=sorted(set(data.item_ids))),
    )  # fmt: skip
    before = _locked(work, found, price_list_id)
    left, removed = {row.id: row for row in there}, []
    for index, item_id in enumerate(data.item_ids):
        if item_id not in left:  # or named twice
            raise UnknownReference(
                "The price list has no such item.", pointer=f"/item_ids/{index}", item_id=str(item_id)
            )
        removed.append(left.pop(item_id))
    work.save(DROP_ITEMS(price_list_id=price_list_id, item_ids=data.item_ids))
    version = _move(work, before, {"removed": removed}, was=removed, now=[])
    return PriceListItemsView(id=price_list_id, version=version, items=[item_view(row) for row in removed])


def wanted_items(
    items: Sequence[PriceListItemInput],
    products: Mapping[UUID, SellingFacts],
    present: Mapping[Place, PriceListItemRow],
) -> dict[Place, PriceListItemRow]:
    """The items as rows, with the ids of those whose places they take. Pure.

    Raises UnknownReference for no product, NotRepresentable for half a piece, Invalid for a span that ends before it
    starts and for a place that is named twice.
    """
    wanted: dict[Place, PriceListItemRow] = {}
    for index, item in enumerate(items):
        at = f"/items/{index}"
        if (product := products.get(item.product_id)) is None:
            raise UnknownReference(
                "There is no product with this id.", pointer=f"{at}/product_id", product_id=str(item.product_id)
            )
        if item.valid_to is not None and item.valid_to < item.valid_from:
            raise Invalid("The price ends before it starts.", pointer=f"{at}/valid_to")
        quantity = decimal(item.min_quantity)
        if quantity != round(quantity, product.unit_decimals):
            raise NotRepresentable(
                f"{item.min_quantity} {product.unit_code} of {product.code}: the unit has {product.unit_decimals}"
                " decimals.",
                pointer=f"{at}/min_quantity", quantity=item.min_quantity, unit_code=product.unit_code,
                decimals=product.unit_decimals,
            )  # fmt: skip
        place = (item.product_id, quantity, item.valid_from)
        if place in wanted:
            raise Invalid("Product, quantity and first day are those of an earlier item.", pointer=at)
        kept = present[place].id if place in present else new_id()
        wanted[place] = PriceListItemRow(kept, *place, item.valid_to, decimal(item.unit_price))
    return wanted


def check_apart(rows: Iterable[PriceListItemRow], sent: Sequence[Place]) -> None:
    """No two prices of a product from the same quantity on are valid on one day. Pure.

    Raises PricesOverlap, with a pointer to the item that was sent (`sent`: their places, in order).
    """
    ordered = sorted(rows, key=_place)
    for _, group in groupby(ordered, key=lambda row: (row.product_id, row.min_quantity)):
        for earlier, later in pairwise(group):
            if earlier.valid_to is None or earlier.valid_to >= later.valid_from:
                guilty = next(row for row in (later, earlier) if _place(row) in sent)
                raise PricesOverlap(
                    f"Both {quantity_text(earlier.unit_price)} and {quantity_text(later.unit_price)} would be valid"
                    f" on {later.valid_from}.",
                    pointer=f"/items/{sent.index(_place(guilty))}/valid_from", date=later.valid_from.isoformat(),
                    product_id=str(later.product_id), min_quantity=quantity_text(later.min_quantity),
                )  # fmt: skip


def price_list_view(row: PriceListRow) -> PriceListView:
    return PriceListView(**row._asdict())


def item_view(row: PriceListItemRow) -> PriceListItemView:
    return PriceListItemView(
        **{
            **row._asdict(),
            "min_quantity": quantity_text(row.min_quantity),
            "unit_price": quantity_text(row.unit_price),
        }
    )


def _locked(work: UnitOfWork, found: Sequence[PriceListRow], price_list_id: UUID) -> PriceListRow:
    if not found:
        raise NotFound(price_list_id=str(price_list_id))
    work.check_version(found[0].version)
    return found[0]


def _move(
    work: UnitOfWork,
    before: PriceListRow,
    told: Mapping[str, Sequence[PriceListItemRow]],
    *,
    was: Sequence[PriceListItemRow],
    now: Sequence[PriceListItemRow],
) -> int:
    """Queue the new version that a change of its items makes, with one event and one audit entry; the version."""
    version = before.version + 1
    work.save(MOVE_PRICE_LIST(price_list_id=before.id))
    facts = {what: [_item_facts(row) for row in rows] for what, rows in told.items()}
    work.publish(
        Event(
            "price_list", before.id, version, "price_list.items_changed", {"code": before.code, **facts}
        )
    )  # fmt: skip
    work.audit(
        "price_list.change_items", "price_list", before.id,
        before={"items": [_item_facts(row) for row in was]}, after={"items": [_item_facts(row) for row in now]},
    )  # fmt: skip
    return version


def _place(row: PriceListItemRow) -> Place:
    return (row.product_id, row.min_quantity, row.valid_from)


def _arrays(rows: Sequence[PriceListItemRow]) -> dict[str, list[Any]]:
    return {name: list(column) for name, column in zip(ITEM_ARRAYS, zip(*rows, strict=True), strict=True)}


def _changing(row: PriceListRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in CHANGING_LIST}


def _facts(row: PriceListRow) -> dict[str, Any]:
    return {"code": row.code, "name": row.name, "currency": row.currency, "active": row.active}


def _item_facts(row: PriceListItemRow) -> dict[str, Any]:
    facts: dict[str, Any] = msgspec.to_builtins(item_view(row))
    return facts
