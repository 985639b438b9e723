"""Following an operation from the command line to its end."""

import asyncio
import time
from typing import Annotated, Final
from uuid import UUID

import typer

from erp.jobs.operations.queries import OPERATION
from erp.jobs.operations.schemas import OperationView
from erp.jobs.operations.service import operation_view
from erp.kernel.errors import NotFound
from erp.operations.service_cli import console
from tenancy.caller import Caller
from tenancy.database import TenantDatabase

Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the operation to its end, or leave it at once.")]

_ENDED: Final = frozenset({"done", "failed", "cancelled", "discarded"})
#: Seconds between two looks; progress is written once a second at most.
_LOOK: Final = 0.5
#: Seconds without any progress after which looking ends: no worker is there, or its queue is long.
_PATIENCE: Final = 300.0


async def follow(
    database: TenantDatabase, caller: Caller, operation_id: UUID, patience: float | None = None
) -> OperationView:
    """The operation when it has ended or has not moved for `patience` (300) seconds; until then a line says how far
    it is.

    Whoever interrupts it stops looking, not the operation. Raises NotFound.
    """
    version, moved = 0, time.monotonic()
    with console.status("") as line:
        while True:
            [found] = await database.read(caller, OPERATION(operation_id=operation_id))
            if not found:
                raise NotFound(operation_id=str(operation_id))
            view = operation_view(found[0])
            if view.version != version:
                version, moved = view.version, time.monotonic()
            if view.state in _ENDED or time.monotonic() - moved > (patience or _PATIENCE):
                return view
            line.update(f"{view.state}: {progress_text(view)}; POST /v1/operations/{view.id}/cancel stops it")
            await asyncio.sleep(_LOOK)


def end(view: OperationView | None) -> None:
    """Say how it ended; the program ends with code 1 when it was not well. None: nobody waited."""
    if view is None:
        return
    told = view.error.detail if view.error is not None and view.state != "done" else progress_text(view)
    if view.state not in _ENDED:
        told += f"; it has not moved for a while and goes on by itself: GET /v1/operations/{view.id}"
    console.print(f"{view.state}: {told}", highlight=False)
    if view.state != "done":
        raise typer.Exit(1)


def progress_text(view: OperationView) -> str:
    if view.progress is None:
        return "nothing is known of how far it is"
    of = "" if view.progress.total is None else f" of {view.progress.total}"
    return f"{view.progress.done}{of} {view.progress.unit or 'steps'}"
