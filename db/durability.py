"""Whether what is in the primary's tables is on a standby too."""

import asyncio
from typing import Any

from db.errors import OutcomeUnknown
from db.pipeline import Connection
from db.pool import flush
from db.statement import Bound

#: Written to the log and nowhere else; without it a transaction that only read waits for nobody.
_MARK: Bound[Any] = Bound("SELECT pg_logical_emit_message(true, 'erp', '')", {})
_ROLLBACK: Bound[Any] = Bound("ROLLBACK", {})
_BEGIN: Bound[Any] = Bound("BEGIN", {})
_COMMIT: Bound[Any] = Bound("COMMIT", {})


async def confirm_what_is_there(connection: Connection, seconds: float) -> None:
    """Roll the transaction under way back and commit a mark, so that a standby has all that was committed before it.

    A commit whose wait for the standbys was given up is in the tables all the same. To tell its answer again would
    call done what the loss of the primary undoes. Raises OutcomeUnknown, TimeoutError.
    """
    async with asyncio.timeout(seconds):
        await flush(connection, [_ROLLBACK, _BEGIN, _MARK, _COMMIT])
    if connection.durability_in_doubt:
        raise OutcomeUnknown("No standby has confirmed the commit.", retry_after=1)
