"""What is special about answers that change or carry credentials.

Every instance must learn at once that credentials changed: the commands run with a hook after their commit (and
are therefore not offered in batches, where it would be missing). And a new key's secret goes out once: the
answer stored for repeated requests does not hold it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from erp.http.answers import Reply
from erp.http.commands import Command, encode_json
from erp.http.request import ApiRequest
from tenancy.work import UnitOfWork

V = TypeVar("V", bound=msgspec.Struct)


def telling(request: ApiRequest, command: Command, tenant_id: UUID, **bound: Any) -> Command:
    """The command with `bound` arguments, after whose commit every instance loads the credentials anew."""
    run: Callable[..., Awaitable[Any]] = partial(command.run, **bound)
    gatekeeper = request.context.services.gatekeeper

    async def bump() -> None:
        await gatekeeper.bump_credentials(tenant_id)

    async def told(work: UnitOfWork, *arguments: Any) -> Any:
        work.after_commit(bump)
        return await run(work, *arguments)

    return replace(command, run=told)


def revealed(reply: Reply[Any], kind: type[V], reveal: Callable[[V], V]) -> Reply[Any]:
    """The answer with its secret put in. What was stored for a repeated request does not have it."""
    if reply.status >= 300 or (b"idempotency-replayed", b"true") in reply.raw_headers:
        return reply
    view = reveal(msgspec.json.decode(reply.body, type=kind))
    kept = [header for header in reply.raw_headers if header[0] not in (b"content-length", b"content-type")]
    return Reply(encode_json(view), reply.status, kept)
