"""The configuration over HTTP: a tenant's with its key, the system's with the operator's credential."""

from typing import Any

from litestar import Router, get, post

from erp.http.answers import Reply
from erp.http.commands import Command, encode_json, perform, read, show
from erp.http.listing import Page, list_page
from erp.http.request import ApiRequest
from erp.kernel.errors import Invalid, NotFound
from erp.operations.configuration import change_configuration, import_configuration, roll_back
from erp.operations.configuration_errors import UnknownConfigurationVersion
from erp.operations.configuration_queries import (
    ENTRIES,
    ENTRIES_OF,
    FIRST_VERSION,
    HISTORY,
    SCOPE_VERSION,
    VALUES_IN,
)
from erp.operations.configuration_schemas import (
    ChangeConfigurationInput,
    ConfigurationChangeView,
    ConfigurationDiffView,
    ConfigurationExportView,
    ConfigurationHistoryView,
    ConfigurationKeyView,
    ConfigurationView,
    ImportConfigurationInput,
    RollbackInput,
)
from erp.operations.configuration_views import (
    configuration_view,
    diff_view,
    export_view,
    history_view,
    key_view,
    settable_keys,
)

_READ = "configuration:read"
_WRITE = "configuration:write"

CHANGE = Command("configuration.change", change_configuration, _WRITE, ChangeConfigurationInput, match="accepted")
ROLL_BACK = Command("configuration.roll_back", roll_back, _WRITE, RollbackInput, match="accepted")
IMPORT = Command("configuration.import", import_configuration, _WRITE, ImportConfigurationInput, match="accepted")

COMMANDS: tuple[Command, ...] = (CHANGE, ROLL_BACK, IMPORT)


@get("/configuration", summary="Read the configuration")
async def get_configuration(request: ApiRequest) -> Reply[ConfigurationView]:
    """Every key you can set, with the value that holds, where it comes from and what it takes."""
    versions, entries = await read(request, _READ, SCOPE_VERSION(), ENTRIES())
    services, tenant = request.context.services, request.caller.tenant
    return show(configuration_view(services.configuration, tenant, versions, entries))


@get("/configuration/keys/{key:str}", summary="Read a configuration key")
async def get_configuration_key(request: ApiRequest, key: str) -> Reply[ConfigurationKeyView]:
    [entries] = await read(request, _READ, ENTRIES_OF(keys=[key]))
    services, tenant = request.context.services, request.caller.tenant
    for known in settable_keys(tenant):
        if known.name == key:
            view = key_view(services.configuration, tenant, known, entries[0] if entries else None)
            return Reply(encode_json(view))  # no ETag: If-Match is compared with the whole configuration's version
    raise NotFound(key=key[:128])


@post("/configuration/changes", status_code=200, summary="Change the configuration")
async def post_changes(request: ApiRequest, data: ChangeConfigurationInput) -> Reply[ConfigurationChangeView]:
    """All settings together or none; every instance works with them within a second.

    `If-Match` with the configuration's version, or `expected_version` of single keys, refuses the change when
    somebody else was faster.
    """
    return await perform(request, CHANGE, data)


@get("/configuration/changes", summary="List configuration changes", opt={"listing": HISTORY})
async def list_changes(request: ApiRequest) -> Reply[Page[ConfigurationHistoryView]]:
    """Newest first: who changed which key, when and why, from what to what."""
    page: Reply[Any] = await list_page(request, _READ, HISTORY, history_view)
    return page


@get("/configuration/diff", summary="Compare two versions of the configuration")
async def get_diff(request: ApiRequest, from_version: int, to_version: int) -> Reply[ConfigurationDiffView]:
    """Version 1 is the state before the first change."""
    for name, version in (("from_version", from_version), ("to_version", to_version)):
        if not FIRST_VERSION <= version < 2**31:
            raise Invalid(f"`{name}` is a version, 1 or more.", pointer=name, source="query")
    versions, before, after = await read(
        request, _READ, SCOPE_VERSION(), VALUES_IN(in_version=from_version), VALUES_IN(in_version=to_version)
    )
    newest = versions[0][0] if versions else FIRST_VERSION
    for name, version in (("from_version", from_version), ("to_version", to_version)):
        if version > newest:
            raise UnknownConfigurationVersion(
                f"The newest version is {newest}.", pointer=name, source="query", newest=newest
            )
    return show(diff_view(from_version, to_version, dict(before), dict(after)))


@post("/configuration/rollback", status_code=200, summary="Roll the configuration back")
async def post_rollback(request: ApiRequest, data: RollbackInput) -> Reply[ConfigurationChangeView]:
    """The values of an earlier version hold again, as a new version; history stays as it was."""
    return await perform(request, ROLL_BACK, data)


@get("/configuration/export", summary="Export the configuration")
async def get_export(request: ApiRequest) -> Reply[ConfigurationExportView]:
    """Your own values as one document, which an import puts back: here or in another installation."""
    versions, entries = await read(request, _READ, SCOPE_VERSION(), ENTRIES())
    return show(export_view(request.caller.tenant, versions, entries))


@post("/configuration/import", status_code=200, summary="Import a configuration")
async def post_import(request: ApiRequest, data: ImportConfigurationInput) -> Reply[ConfigurationChangeView]:
    """The `values` of an export. One bad value refuses them all."""
    return await perform(request, IMPORT, data)


router = Router(
    "/v1",
    route_handlers=[
        get_configuration, get_configuration_key, post_changes, list_changes, get_diff, post_rollback, get_export,
        post_import,
    ],
    tags=["Configuration"],
)  # fmt: skip
