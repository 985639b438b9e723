"""Booking the rows of an import: the same commands, keys and refusals as the bulk stream has.

A row's key is its idempotency key, the same one as under `/v1/bulk`: a row is booked once, however often
the import is broken off, run again or sent again.
"""

import asyncio
import logging
import random
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import msgspec

from db.clock import clock
from db.errors import DomainError
from erp.exchange.imports.repository import KeyFacts
from erp.http.body import BodyDecoder
from erp.http.bulk import BulkRow, row_answer, row_identity
from erp.http.commands import Command, problem_answer
from erp.http.located import located, moved
from erp.http.problems import as_refusal
from tenancy.caller import Caller
from tenancy.database import Answer, TenantDatabase
from tenancy.errors import Unauthorized
from tenancy.permissions import ROLES

_log = logging.getLogger("erp.imports")
_decode_row = BodyDecoder(BulkRow)

#: Tries for a row that met contention or an outage, before the whole job rests.
_ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class RowOutcome:
    """`answer`: `{"id": ...}` when it was booked, else the problem."""

    row_no: int
    outcome: str
    status: int
    answer: dict[str, Any]


class Booking:
    """Books rows of one resource for one caller. `job_id` names the import in problems."""

    def __init__(self, database: TenantDatabase, caller: Caller, command: Command, job_id: UUID) -> None:
        self._database = database
        self._caller = caller
        self._command = command
        self._path = f"/v1/jobs/{job_id}/rows"

    async def book(self, row_no: int, body: bytes) -> RowOutcome:
        """One row, its own transaction. Raises DomainError only for what may pass when tried later."""
        try:
            answer = await self._patiently(body)
        except DomainError as error:
            if error.retryable or error.status >= 500:
                raise
            return self._refused(row_no, error)
        except Exception as error:
            # One row that meets a defect of ours must not keep the others from being booked.
            _log.exception("row %d of %s", row_no, self._path)
            return self._refused(row_no, as_refusal(error))
        content = msgspec.json.decode(answer.body)
        if answer.status >= 400:
            return RowOutcome(row_no, "failed", answer.status, content)
        return RowOutcome(row_no, "done", answer.status, {"id": content})

    async def _patiently(self, body: bytes) -> Answer:
        for attempt in range(1, _ATTEMPTS):
            try:
                return await self._once(body)
            except DomainError as error:
                if not error.retryable:
                    raise
            await asyncio.sleep(random.uniform(0, 0.1 * 2**attempt))
        return await self._once(body)

    async def _once(self, body: bytes) -> Answer:
        row = _decode_row(body)
        command = self._command
        with located("/data"):
            data = command.decode.convert(row.data)
        identity = row_identity(command, row)
        try:
            return await self._database.answer(
                self._caller, command.bind(None, data), row_answer, identity, None, self._stored
            )
        except DomainError as refusal:
            raise moved(refusal, "/data") from refusal.__cause__

    def _stored(self, refusal: DomainError) -> Answer:
        return self._problem(moved(refusal, "/data"))

    def _problem(self, refusal: DomainError) -> Answer:
        return problem_answer(refusal, self._path, self._caller.correlation_id)

    def _refused(self, row_no: int, refusal: DomainError) -> RowOutcome:
        problem = msgspec.json.decode(self._problem(refusal).body)
        return RowOutcome(row_no, "failed", refusal.status, problem)


def acting_for(system: Caller, key: KeyFacts | None) -> Caller:
    """The caller whose key sent the import, with what the key may do now. Raises Unauthorized."""
    if key is None or key.state != "active" or (key.expires_at is not None and key.expires_at <= clock.now()):
        raise Unauthorized("The API key that sent this import is no longer valid.")
    return replace(
        system, principal_id=key.id, kind="api_key", name=key.name, role=key.role,
        scopes=ROLES.get(key.role, frozenset()) | frozenset(key.scopes),
    )  # fmt: skip
