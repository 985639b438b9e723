"""Reports that look across slices."""

from datetime import UTC, datetime

from litestar import Router, get

from erp.http.answers import Reply
from erp.http.commands import Command, read, show
from erp.http.request import ApiRequest
from erp.reporting.proof import CHECKS, ProofView, proof_view

COMMANDS: tuple[Command, ...] = ()


@get("/proof", summary="Prove the books")
async def get_proof(request: ApiRequest) -> Reply[ProofView]:
    """Recomputes debits = credits, stock value = inventory account, on hand = sum of moves, reserved = sum of
    open reservations, open items, number series and more, and returns the rows that disagree."""
    results = await read(request, "proof:read", *(check.statement() for check in CHECKS))
    return show(proof_view(results, datetime.now(UTC)))


router = Router("/v1", route_handlers=[get_proof], tags=["Reports"])
