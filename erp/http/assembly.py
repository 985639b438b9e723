"""The HTTP application: Litestar with the house's settings, inside the gate."""

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from litestar import Litestar, Router
from litestar.exceptions.base_exceptions import LitestarDeprecationWarning

from erp.http import catalogue, docs, health
from erp.http.batch import batch_router
from erp.http.bulk import bulk_router
from erp.http.commands import Command
from erp.http.dto import JsonBody
from erp.http.front import front_router
from erp.http.gate import Gate, GatePolicy
from erp.http.openapi import openapi_config
from erp.http.problems import answer_exception
from erp.http.request import ApiRequest
from erp.http.services import Services


def assemble(
    services: Services,
    policy: GatePolicy,
    *,
    routers: Sequence[Router],
    commands: Iterable[Command],
    version: str,
    public_url: str,
    lifespan: Sequence[Any] = (),
) -> Gate:
    """The ASGI application over the slices' routers and commands. Raises ValueError for two equal names."""
    by_name: dict[str, Command] = {}
    for command in commands:
        if by_name.setdefault(command.name, command) is not command:
            raise ValueError(f"two commands are named {command.name}")
    own = [
        front_router(version), health.router, catalogue.router, docs.router, batch_router(by_name),
        bulk_router(by_name),
    ]  # fmt: skip
    with warnings.catch_warnings():
        # Handlers say `note_id: UUID`, which the next major version wants marked; ours is pinned below it.
        warnings.simplefilter("ignore", LitestarDeprecationWarning)
        app = _litestar([*own, *routers], version, public_url, lifespan)
    return Gate(app, services, policy)


def _litestar(routers: Sequence[Router], version: str, public_url: str, lifespan: Sequence[Any]) -> Litestar:
    return Litestar(
        route_handlers=list(routers),
        request_class=ApiRequest,
        dto=JsonBody,
        return_dto=None,
        exception_handlers={Exception: answer_exception},
        openapi_config=openapi_config(version, public_url),
        # Our own bodies are bounded by ApiRequest; the bulk stream is bounded per row.
        request_max_body_size=None,
        logging_config=None,
        lifespan=list(lifespan),
    )
