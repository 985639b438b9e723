"""Commands of products: created, changed and deactivated, never removed."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET

from db.identifiers import new_id
from erp.catalog.repository import (
    ADD_PRODUCT,
    ADD_PRODUCT_UNITS,
    CHANGING_PRODUCT,
    DROP_PRODUCT_UNITS,
    READ_PRODUCT,
    SET_PRODUCT,
    UNITS_BY_CODE,
    ProductRow,
    UnitRow,
)
from erp.catalog.schemas import CreateProductInput, ProductUnit, ProductView, UpdateProductInput
from erp.kernel.errors import Invalid, NotFound, UnknownReference
from erp.kernel.quantity import quantity_text
from erp.kernel.text import decimal
from tenancy.concurrency import optimistic_save
from tenancy.trail import Event
from tenancy.work import UnitOfWork

#: Fields that are decimals in the database and strings on the wire.
_DECIMALS = ("sale_price", "reorder_point")
_SHOWN = (*CHANGING_PRODUCT, "kind", "unit", "units")


async def create_product(work: UnitOfWork, data: CreateProductInput) -> ProductView:
    """Raises Duplicate for a taken code, bar code or external id; UnknownReference for a unit there is not."""
    [known] = await work.load(UNITS_BY_CODE(codes=[data.unit, *(other.unit for other in data.units)]))
    [unit_id] = _unit_ids(known, [data.unit], "/unit")
    row = ProductRow(
        id=new_id(), version=1, active=True, created_at=work.now, **_stored(msgspec.structs.asdict(data))
    )
    _check(row)
    work.save(ADD_PRODUCT(id=row.id, kind=row.kind, unit_id=unit_id, created_at=row.created_at, **_changing(row)))
    _save_units(work, row, known)
    facts = _shown(row, _SHOWN)
    work.publish(Event("product", row.id, 1, "product.created", facts))
    work.audit("product.create", "product", row.id, after=facts)
    return product_view(row)


async def update_product(work: UnitOfWork, product_id: UUID, data: UpdateProductInput) -> ProductView:
    """Change the fields that were sent. Raises NotFound, VersionConflict and what creating raises."""
    codes = [] if data.units is UNSET else [other.unit for other in data.units]
    found, known = await work.load(READ_PRODUCT(product_id=product_id), UNITS_BY_CODE(codes=codes))
    if not found:
        raise NotFound(product_id=str(product_id))
    before = _loaded(found[0])
    work.check_version(before.version)
    sent = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}
    after = before._replace(**_stored(sent))
    changed = [name for name in _SHOWN if getattr(after, name) != getattr(before, name)]
    if not changed:
        return product_view(before)
    _check(after)
    after = after._replace(version=before.version + 1)
    optimistic_save(work, SET_PRODUCT(product_id=product_id, seen=before.version, **_changing(after)))
    if "units" in changed:
        work.save(DROP_PRODUCT_UNITS(product_id=product_id))
        _save_units(work, after, known)
    work.publish(Event("product", product_id, after.version, "product.updated", _shown(after, changed)))
    work.audit("product.update", "product", product_id, before=_shown(before, changed), after=_shown(after, changed))
    return product_view(after)


def product_view(row: ProductRow) -> ProductView:
    values = _loaded(row)._asdict()
    for name in _DECIMALS:
        if values[name] is not None:
            values[name] = quantity_text(values[name])
    values["units"] = [
        ProductUnit(unit=code, numerator=int(numerator), denominator=int(denominator))
        for code, numerator, denominator in values["units"]
    ]
    return ProductView(**values)


def _loaded(row: ProductRow) -> ProductRow:
    """The other units in one order; a product without any has no list in the database."""
    return row._replace(units=sorted(row.units or []))


def _stored(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Wire values as rows hold them."""
    values = dict(sent)
    for name in _DECIMALS:
        if (text := values.get(name)) is not None:
            values[name] = decimal(text, pointer=f"/{name}")
    if (others := values.get("units")) is not None:
        values["units"] = sorted([one.unit, str(one.numerator), str(one.denominator)] for one in others)
    return values


def _check(row: ProductRow) -> None:
    codes = [code for code, _, _ in row.units]
    if len(codes) != len(set(codes)) or row.unit in codes:
        raise Invalid("Each unit counts once, the product's own is not among its other units.", pointer="/units")
    if row.reorder_point is not None and row.kind != "stocked":
        raise Invalid("Only a stocked product has a reorder point.", pointer="/reorder_point")


def _unit_ids(known: Sequence[UnitRow], codes: Sequence[str], pointer: str) -> list[UUID]:
    """Raises UnknownReference for a code that is no active unit."""
    ids = {unit.code: unit.id for unit in known if unit.active}
    for code in codes:
        if code not in ids:
            raise UnknownReference(f"There is no active unit {code}.", pointer=pointer, unit=code)
    return [ids[code] for code in codes]


def _save_units(work: UnitOfWork, row: ProductRow, known: Sequence[UnitRow]) -> None:
    if row.units:
        work.save(
            ADD_PRODUCT_UNITS(
                product_id=row.id,
                unit_ids=_unit_ids(known, [code for code, _, _ in row.units], "/units"),
                numerators=[int(numerator) for _, numerator, _ in row.units],
                denominators=[int(denominator) for _, _, denominator in row.units],
            )
        )


def _changing(row: ProductRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in CHANGING_PRODUCT}


def _shown(row: ProductRow, names: Sequence[str]) -> dict[str, Any]:
    view: dict[str, Any] = msgspec.to_builtins(product_view(row))
    return {name: view[name] for name in names}
