"""Commands of tax groups."""

from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET

from db.identifiers import new_id
from erp.kernel.errors import Invalid, NotFound
from erp.kernel.quantity import quantity_text
from erp.kernel.text import decimal
from erp.pricing.errors import TaxRatesOverlap
from erp.pricing.repository import (
    ADD_TAX_GROUP,
    ADD_TAX_RATES,
    CHANGING,
    DROP_TAX_RATES,
    LOCK_TAX_GROUP,
    SET_TAX_GROUP,
    TaxGroupRow,
)
from erp.pricing.schemas import CreateTaxGroupInput, TaxGroupView, TaxRate, UpdateTaxGroupInput
from tenancy.trail import Event
from tenancy.work import UnitOfWork


async def create_tax_group(work: UnitOfWork, data: CreateTaxGroupInput) -> TaxGroupView:
    """Raises TaxRatesOverlap, Invalid, Duplicate."""
    return save_tax_group(work, data)


async def update_tax_group(work: UnitOfWork, tax_group_id: UUID, data: UpdateTaxGroupInput) -> TaxGroupView:
    """Change what was sent. Raises NotFound, VersionConflict and what creating raises."""
    [found] = await work.load(LOCK_TAX_GROUP(tax_group_id=tax_group_id))
    if not found:
        raise NotFound(tax_group_id=str(tax_group_id))
    before = tax_group_view(found[0])
    work.check_version(before.version)
    sent = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}
    if "rates" in sent:
        sent["rates"] = checked_rates(sent["rates"])
    after = msgspec.structs.replace(before, **sent)
    if after == before:
        return before
    after = msgspec.structs.replace(after, version=before.version + 1)
    work.save(SET_TAX_GROUP(tax_group_id=tax_group_id, **_changing(after)))
    if after.rates != before.rates:
        work.save(DROP_TAX_RATES(tax_group_id=tax_group_id))
        _save_rates(work, after)
    work.publish(Event("tax_group", tax_group_id, after.version, "tax_group.updated", _facts(after)))
    work.audit("tax_group.update", "tax_group", tax_group_id, before=_facts(before), after=_facts(after))
    return after


def save_tax_group(work: UnitOfWork, data: CreateTaxGroupInput) -> TaxGroupView:
    """Queue a new group with its rates, event and audit entry."""
    view = TaxGroupView(
        id=new_id(), version=1, code=data.code, name=data.name, rates=checked_rates(data.rates), active=True,
        external_id=data.external_id, created_at=work.now,
    )  # fmt: skip
    work.save(ADD_TAX_GROUP(id=view.id, created_at=view.created_at, **_changing(view)))
    _save_rates(work, view)
    work.publish(Event("tax_group", view.id, 1, "tax_group.created", _facts(view)))
    work.audit("tax_group.create", "tax_group", view.id, after=_facts(view))
    return view


def checked_rates(rates: Sequence[TaxRate]) -> list[TaxRate]:
    """The rates, earliest first. Raises Invalid for a span that ends before it starts, TaxRatesOverlap. Pure."""
    for index, rate in enumerate(rates):
        if rate.valid_to is not None and rate.valid_to < rate.valid_from:
            raise Invalid("The rate ends before it starts.", pointer=f"/rates/{index}/valid_to")
    ordered = sorted(rates, key=lambda rate: rate.valid_from)
    for earlier, later in pairwise(ordered):
        if earlier.valid_to is None or earlier.valid_to >= later.valid_from:
            raise TaxRatesOverlap(
                f"Both {earlier.rate} % and {later.rate} % would be valid on {later.valid_from}.",
                pointer="/rates", date=later.valid_from.isoformat(),
            )  # fmt: skip
    return [msgspec.structs.replace(rate, rate=quantity_text(decimal(rate.rate))) for rate in ordered]


def tax_group_view(row: TaxGroupRow) -> TaxGroupView:
    rates = [
        TaxRate(
            rate=quantity_text(decimal(rate or "")), valid_from=date.fromisoformat(start or ""),
            valid_to=None if end is None else date.fromisoformat(end),
        )
        for rate, start, end in row.rates or []
    ]  # fmt: skip
    return TaxGroupView(**{**row._asdict(), "rates": rates})


def _save_rates(work: UnitOfWork, view: TaxGroupView) -> None:
    work.save(
        ADD_TAX_RATES(
            tax_group_id=view.id,
            rates=[decimal(rate.rate) for rate in view.rates],
            starts=[rate.valid_from for rate in view.rates],
            ends=[rate.valid_to for rate in view.rates],
        )
    )


def _changing(view: TaxGroupView) -> dict[str, Any]:
    return {name: getattr(view, name) for name in CHANGING}


def _facts(view: TaxGroupView) -> dict[str, Any]:
    return {
        "code": view.code,
        "name": view.name,
        "active": view.active,
        "rates": msgspec.to_builtins(view.rates),
    }
