"""Reports that look across slices."""

from typing import Any

from litestar import Router, get

from db.clock import clock
from db.statement import Bound
from erp.http.answers import Reply
from erp.http.commands import Command, read, show
from erp.http.request import ApiRequest
from erp.reporting.proof import CHECKS, ProofView, proof_view

COMMANDS: tuple[Command, ...] = ()

#: Every rule reads all rows of a tenant, so they are matched by hashing. Statistics older than the tenant promise a
#: handful of them, and in nested loops a few hundred orders already take longer than a statement may.
BY_HASH: Bound[Any] = Bound("SELECT set_config('enable_nestloop', 'off', true)", {})


@get("/proof", summary="Prove the books")
async def get_proof(request: ApiRequest) -> Reply[ProofView]:
    """Recomputes debits = credits, stock value = inventory account, on hand = sum of moves, reserved = sum of
    open reservations, open items, number series and more, and returns the rows that disagree."""
    _, *results = await read(request, "proof:read", BY_HASH, *(check.statement() for check in CHECKS))
    return show(proof_view(results, clock.now()))


router = Router("/v1", route_handlers=[get_proof], tags=["Reports"])
