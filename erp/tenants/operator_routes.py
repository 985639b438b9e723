"""Tenants over HTTP, for the operator of the platform: across tenants, with the operator's credential only."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec
from litestar import get, post

from db.identifiers import new_id
from db.statement import Bound
from db.two_phase import MAIN
from erp.http.answers import Reply
from erp.http.commands import answer_reply, encode_json, show, view_answer
from erp.http.idempotency import idempotency_of
from erp.http.listing import Page
from erp.http.parameters import query_of, refuse_unknown_parameters
from erp.http.preconditions import MatchRule, expected_version
from erp.http.request import ApiRequest
from erp.kernel.errors import Invalid, NotFound
from erp.tenants import service
from erp.tenants.credentials import revealed
from erp.tenants.errors import OperatorOnly
from erp.tenants.provisioning import create_tenant, facts_of
from erp.tenants.queries import ALL_TENANTS, ONE_OF_ALL_TENANTS, PLACEMENT_OF
from erp.tenants.repository import TenantRow
from erp.tenants.schemas import ChangeStateInput, CreateTenantInput, NewApiKeyView, NewTenantView, TenantView
from erp.tenants.views import tenant_view
from tenancy.caller import Caller, TenantFacts
from tenancy.platform import PlatformDatabase
from tenancy.work import UnitOfWork

TAGS = ["Tenants (operator)"]


@post("/tenants", tags=TAGS, summary="Create a tenant")
async def post_tenant(request: ApiRequest, data: CreateTenantInput) -> Reply[NewTenantView]:
    """With chart of accounts, periods, tax groups, units, a warehouse and the first owner's key.

    The key's `secret` is shown in this answer and never again.
    """
    require_operator(request)
    facts = facts_of(await _new_tenant_id(request), data)
    platform_named(request, data.database, pointer="/database")
    minted = request.context.services.identity.mint(facts.id)
    expected = expected_version(request, "none")
    reply = await _answer(request, facts, lambda work: create_tenant(work, data, minted), 201, expected)
    return revealed(reply, NewTenantView, lambda view: _with_secret(view, minted.token))


@get("/tenants/{tenant_id:uuid}", tags=TAGS, summary="Read a tenant")
async def get_tenant(request: ApiRequest, tenant_id: UUID) -> Reply[TenantView]:
    require_operator(request)
    return show(tenant_view(await existing_tenant(request, tenant_id)))


@get("/tenants", tags=TAGS, summary="List tenants", opt={"listing": ALL_TENANTS})
async def list_tenants(request: ApiRequest) -> Reply[Page[TenantView]]:
    """Newest first unless sorted otherwise."""
    require_operator(request, parameters=False)
    return Reply(encode_json(await _page(request)))


@post(
    "/tenants/{tenant_id:uuid}/suspend",
    tags=TAGS,
    status_code=200,
    summary="Suspend a tenant",
    opt={"match": "accepted"},
)
async def suspend(request: ApiRequest, tenant_id: UUID, data: ChangeStateInput) -> Reply[TenantView]:
    """Its callers are refused from their next request on; its data is kept."""
    return await change_as_operator(request, tenant_id, lambda work: service.suspend_tenant(work, data))


@post(
    "/tenants/{tenant_id:uuid}/resume",
    tags=TAGS,
    status_code=200,
    summary="Resume a suspended tenant",
    opt={"match": "accepted"},
)
async def resume(request: ApiRequest, tenant_id: UUID, data: ChangeStateInput) -> Reply[TenantView]:
    return await change_as_operator(request, tenant_id, lambda work: service.resume_tenant(work, data))


@post(
    "/tenants/{tenant_id:uuid}/close",
    tags=TAGS,
    status_code=200,
    summary="Close a tenant for good",
    opt={"match": "accepted"},
)
async def close(request: ApiRequest, tenant_id: UUID, data: ChangeStateInput) -> Reply[TenantView]:
    """Its callers are refused for good; its data is kept."""
    return await change_as_operator(request, tenant_id, lambda work: service.close_tenant(work, data))


@post("/tenants/{tenant_id:uuid}/owner-keys", tags=TAGS, summary="Issue another owner key")
async def issue_key(request: ApiRequest, tenant_id: UUID) -> Reply[NewApiKeyView]:
    """For a tenant whose owner lost theirs. The `secret` is shown in this answer and never again."""
    minted = request.context.services.identity.mint(tenant_id)
    reply = await change_as_operator(
        request, tenant_id, lambda work: service.issue_owner_key(work, minted), status=201, match="none"
    )
    return revealed(reply, NewApiKeyView, lambda view: msgspec.structs.replace(view, secret=minted.token))


def require_operator(request: ApiRequest, *, parameters: bool = True) -> None:
    """Raises OperatorOnly: `*:*` of a tenant's owner reaches everything of the tenant and nothing beyond it."""
    if request.caller.kind != "operator":
        raise OperatorOnly
    if parameters:
        refuse_unknown_parameters(request)


def platform_named(request: ApiRequest, database: str, *, pointer: str = "database") -> PlatformDatabase:
    """The database a query parameter (or a field of the body, by its `pointer`) names. Raises Invalid."""
    platforms = request.context.services.platforms
    if database not in platforms.all:
        source: dict[str, Any] = {} if pointer.startswith("/") else {"source": "query"}
        raise Invalid("There is no such database.", pointer=pointer, known=sorted(platforms.all), **source)
    return platforms.of(database)


async def _new_tenant_id(request: ApiRequest) -> UUID:
    """With an Idempotency-Key always the same, so that a repeated request finds its own answer in the tenant."""
    idempotency = idempotency_of(request, "accepted", await request.body())
    if idempotency is None:
        return new_id()
    return UUID(bytes=sha256(b"tenant:" + idempotency.key.encode()).digest()[:16], version=5)


async def _answer(
    request: ApiRequest,
    tenant: TenantFacts,
    command: Callable[[UnitOfWork], Awaitable[Any]],
    status: int,
    expected: int | None,
) -> Reply[Any]:
    """Run a command as the operator within one tenant; every instance then loads its credentials anew.

    Refusals are not stored for repeated requests: they may concern a tenant that does not exist.
    """
    caller: Caller = replace(request.caller, tenant=tenant)
    gatekeeper = request.context.services.gatekeeper
    idempotency = idempotency_of(request, "accepted", await request.body())
    path = request.scope["path"]

    async def bump() -> None:
        await gatekeeper.bump_credentials(tenant.id)

    async def told(work: UnitOfWork) -> Any:
        work.after_commit(bump)
        return await command(work)

    answer = await request.database.answer(
        caller, told, lambda view: view_answer(view, status, path if status == 201 else None), idempotency, expected
    )
    return answer_reply(request, answer)


async def change_as_operator(
    request: ApiRequest,
    tenant_id: UUID,
    command: Callable[[UnitOfWork], Awaitable[Any]],
    *,
    status: int = 200,
    match: MatchRule = "accepted",
    first: int = 1,
) -> Reply[Any]:
    """`match`, `first`: whether If-Match makes sense, and the lowest version there can be."""
    require_operator(request)
    expected = expected_version(request, match, first=first)
    return await _answer(request, await facts_of_tenant(request, tenant_id), command, status, expected)


async def facts_of_tenant(request: ApiRequest, tenant_id: UUID) -> TenantFacts:
    """The tenant as a caller of its own would have it. Raises NotFound."""
    row = await existing_tenant(request, tenant_id)
    return TenantFacts(
        id=row.id, slug=row.slug, name=row.name, state=row.state, base_currency=row.base_currency,
        country=row.country, time_zone=row.time_zone, settings=row.settings, database=row.database,
    )  # fmt: skip


async def existing_tenant(request: ApiRequest, tenant_id: UUID) -> TenantRow:
    wanted = ONE_OF_ALL_TENANTS(one=tenant_id)
    found, placed = await request.platform.ask(wanted, PLACEMENT_OF(one=tenant_id))
    if not found and placed and placed[0][0] != MAIN:
        [found] = await request.context.services.platforms.of(placed[0][0]).ask(wanted)
    if not found:
        raise NotFound(tenant_id=str(tenant_id))
    row: TenantRow = found[0]
    return row


async def _page(request: ApiRequest) -> Page[Any]:
    """A page of the list, as `list_page` makes it, read by the platform role."""
    asked = ALL_TENANTS.parse(query_of(request.scope), TenantView)
    cursors = request.context.services.cursors
    scope = b"\n".join((request.scope["path"].encode(), asked.identity))
    values = {**asked.values, "page_size": asked.limit + 1}
    if asked.cursor is not None:
        values["after_value"], values["after_key"] = ALL_TENANTS.end(
            asked.shape.sort, cursors.open(scope, asked.cursor)
        )
    counting = [ALL_TENANTS.counting(asked.shape.filters)(**asked.values)] if asked.count else []
    page_of = ALL_TENANTS.statement(asked.shape)(**values)
    rows, counts = await _everywhere(request, page_of, counting, falling=asked.shape.sort.startswith("-"))
    shown, has_more = rows[: asked.limit], len(rows) > asked.limit
    views: list[Any] = [tenant_view(TenantRow(*row[:-2])) for row in shown]
    if asked.fields is not None:
        views = [{name: getattr(view, name) for name in asked.fields} for view in views]
    page: Page[Any] = Page(
        data=views, has_more=has_more,
        next_cursor=cursors.seal(scope, encode_json(shown[-1][-2:])) if has_more else None,
    )  # fmt: skip
    return msgspec.structs.replace(page, count=sum(counts), count_kind="exact") if counts else page


async def _everywhere(
    request: ApiRequest, page_of: Bound[Any], counting: list[Bound[Any]], *, falling: bool
) -> tuple[list[Any], list[int]]:
    """The page's rows of every database in one order, and how many there are in each."""
    rows: list[Any] = []
    counts: list[int] = []
    for platform in request.context.services.platforms.all.values():
        found, *counted = await platform.ask(page_of, *counting)
        rows += found
        counts += [one[0][0] for one in counted]
    return sorted(rows, key=lambda row: row[-2:], reverse=falling), counts


def _with_secret(view: NewTenantView, secret: str) -> NewTenantView:
    return msgspec.structs.replace(view, owner_key=msgspec.structs.replace(view.owner_key, secret=secret))


HANDLERS = (post_tenant, get_tenant, list_tenants, suspend, resume, close, issue_key)
