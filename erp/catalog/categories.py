"""Commands of the category tree."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET

from db.identifiers import new_id
from erp.catalog.errors import CategoryCycle
from erp.catalog.repository import (
    ADD_CATEGORY,
    CHANGING_CATEGORY,
    LOCK_CATEGORY,
    LOCK_TREE,
    SET_CATEGORY,
    CategoryRow,
    Place,
)
from erp.catalog.schemas import CategoryView, CreateCategoryInput, UpdateCategoryInput
from erp.kernel.errors import NotFound, UnknownReference
from tenancy.trail import Event
from tenancy.work import UnitOfWork


async def create_category(work: UnitOfWork, data: CreateCategoryInput) -> CategoryView:
    """Raises Duplicate for a taken code or external id, UnknownReference for a parent there is not."""
    row = CategoryRow(
        id=new_id(), version=1, active=True, created_at=work.now, code=data.code, name=data.name,
        parent_id=data.parent_id, external_id=data.external_id,
    )  # fmt: skip
    work.save(ADD_CATEGORY(id=row.id, created_at=row.created_at, **_changing(row)))
    work.publish(Event("category", row.id, 1, "category.created", _facts(row)))
    work.audit("category.create", "category", row.id, after=_facts(row))
    return category_view(row)


async def update_category(work: UnitOfWork, category_id: UUID, data: UpdateCategoryInput) -> CategoryView:
    """Rename, move or (de)activate. Raises NotFound, VersionConflict, CategoryCycle, UnknownReference."""
    moves = data.parent_id is not UNSET
    before, tree = await (_lock_to_move if moves else _lock)(work, category_id)
    work.check_version(before.version)
    sent = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}
    after = before._replace(**sent)
    if after == before:
        return category_view(before)
    if moves:
        check_place(tree, category_id, after.parent_id)
    after = after._replace(version=before.version + 1)
    work.save(SET_CATEGORY(category_id=category_id, **_changing(after)))
    work.publish(Event("category", category_id, after.version, "category.updated", _facts(after)))
    work.audit("category.update", "category", category_id, before=_facts(before), after=_facts(after))
    return category_view(after)


async def _lock(work: UnitOfWork, category_id: UUID) -> tuple[CategoryRow, list[Place]]:
    [found] = await work.load(LOCK_CATEGORY(category_id=category_id))
    return _existing(found, category_id), []


async def _lock_to_move(work: UnitOfWork, category_id: UUID) -> tuple[CategoryRow, list[Place]]:
    # The tree first and in order, so that two moves wait for each other instead of deadlocking.
    tree, found = await work.load(LOCK_TREE(), LOCK_CATEGORY(category_id=category_id))
    return _existing(found, category_id), tree


def _existing(found: Sequence[CategoryRow], category_id: UUID) -> CategoryRow:
    if not found:
        raise NotFound(category_id=str(category_id))
    return found[0]


def check_place(tree: Sequence[Place], category_id: UUID, parent_id: UUID | None) -> None:
    """Raises unless the category may hang below `parent_id`. Pure."""
    parents = {place.id: place.parent_id for place in tree}
    if parent_id is not None and parent_id not in parents:
        raise UnknownReference("There is no category with this id.", pointer="/parent_id", id=str(parent_id))
    above = parent_id
    while above is not None:
        if above == category_id:
            raise CategoryCycle(pointer="/parent_id", parent_id=str(parent_id))
        above = parents[above]


def category_view(row: CategoryRow) -> CategoryView:
    return CategoryView(**row._asdict())


def _changing(row: CategoryRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in CHANGING_CATEGORY}


def _facts(row: CategoryRow) -> dict[str, Any]:
    parent = None if row.parent_id is None else str(row.parent_id)
    return {"code": row.code, "name": row.name, "parent_id": parent, "active": row.active}
