"""What commands share that go straight to the databases, so that they work while no API runs."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import msgspec
import typer

from db.errors import DomainError
from deploy.local.errors import LocalFleetError
from deploy.local.layout import state_layout
from deploy.local.options import read_options
from deploy.local.plan import make_plan
from deploy.local.status import is_supervised
from erp.operations.service_cli import console, print_json, table
from erp.runtime import Runtime, build_runtime
from erp.settings import Settings, load_settings
from fleet.logging import logging_to_stderr

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)


def with_databases(work: Callable[[Runtime], Awaitable[T]]) -> T:
    """What the work finds or does; ends the program with code 1 when it is refused. Reads go to the primary."""

    async def run() -> T:
        runtime = build_runtime(replace(_settings(), replica_urls=()))
        await runtime.open()
        try:
            return await work(runtime)
        finally:
            await runtime.close()

    try:
        with logging_to_stderr():
            return asyncio.run(run())
    except DomainError as refusal:
        console.print(f"[red]{refusal.code}: {refusal}[/red]", highlight=False)
        raise typer.Exit(1) from refusal
    except LocalFleetError as refusal:
        console.print(f"[red]{refusal}[/red]", highlight=False)
        raise typer.Exit(1) from refusal


def checked(input: type[S], **fields: Any) -> S:
    """The input of a command as the API would take it. Raises typer.BadParameter."""
    try:
        return msgspec.convert(fields, input)
    except msgspec.ValidationError as error:
        raise typer.BadParameter(f"{error}.") from error


def show_rows(headings: Sequence[str], rows: Sequence[Sequence[Any]], *, as_json: bool, none: str = "") -> None:
    """As a table, `none` when there is nothing to show; or as a list of objects with the headings as their fields."""
    if as_json:
        print_json([dict(zip(headings, (_plain(value) for value in row), strict=True)) for row in rows])
    elif none and not rows:
        console.print(none)
    else:
        shown = table(*headings)
        for row in rows:
            shown.add_row(*("" if value is None else str(value) for value in row))
        console.print(shown)


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str | None) else str(value)


def _settings() -> Settings:
    """Those of this process's environment, else the local fleet's. Raises typer.BadParameter without either."""
    if os.environ.get("ERP_DATABASE_URL"):
        return load_settings()
    layout = state_layout()
    if not is_supervised(layout):  # its databases end with the supervisor; a plan would draw new credentials
        raise typer.BadParameter("No fleet runs here: start it with `erp up`, or set ERP_DATABASE_URL.")
    plan = make_plan(layout, read_options())
    return load_settings(plan.endpoints.environment("tool", "tool"))
