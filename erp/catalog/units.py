"""Commands of units of measure."""

from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET

from db.identifiers import new_id
from erp.catalog.repository import ADD_UNIT, CHANGING_UNIT, LOCK_UNIT, SET_UNIT, UnitRow
from erp.catalog.schemas import CreateUnitInput, UnitView, UpdateUnitInput
from erp.kernel.errors import NotFound
from tenancy.trail import Event
from tenancy.work import UnitOfWork


async def create_unit(work: UnitOfWork, data: CreateUnitInput) -> UnitView:
    """Raises Duplicate for a taken code or external id."""
    row = UnitRow(
        id=new_id(), version=1, active=True, created_at=work.now, code=data.code, name=data.name,
        decimals=data.decimals, external_id=data.external_id,
    )  # fmt: skip
    save_unit(work, row)
    facts = {"code": row.code, "name": row.name, "decimals": row.decimals}
    work.publish(Event("unit", row.id, 1, "unit.created", facts))
    work.audit("unit.create", "unit", row.id, after=facts)
    return unit_view(row)


async def update_unit(work: UnitOfWork, unit_id: UUID, data: UpdateUnitInput) -> UnitView:
    """Rename, (de)activate, or change how finely it is counted. Raises NotFound, VersionConflict."""
    [found] = await work.load(LOCK_UNIT(unit_id=unit_id))
    if not found:
        raise NotFound(unit_id=str(unit_id))
    [before] = found
    work.check_version(before.version)
    sent = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}
    after = before._replace(**sent)
    if after == before:
        return unit_view(before)
    after = after._replace(version=before.version + 1)
    work.save(SET_UNIT(unit_id=unit_id, **_changing(after)))
    work.publish(Event("unit", unit_id, after.version, "unit.updated", {"code": after.code, **_changing(after)}))
    work.audit("unit.update", "unit", unit_id, before=_changing(before), after=_changing(after))
    return unit_view(after)


def save_unit(work: UnitOfWork, row: UnitRow) -> None:
    work.save(
        ADD_UNIT(
            id=row.id, code=row.code, name=row.name, decimals=row.decimals, external_id=row.external_id,
            created_at=row.created_at,
        )
    )  # fmt: skip


def unit_view(row: UnitRow) -> UnitView:
    return UnitView(**row._asdict())


def _changing(row: UnitRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in CHANGING_UNIT}
