"""`erp import ...`: bring data of other systems in through the public API."""

import asyncio
import time
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from deploy.local.credentials import keep
from deploy.local.keyring import known_keys, remember_key
from deploy.local.layout import Layout, state_layout
from deploy.local.status import read_status
from erp.exchange.api import Api, ApiProblem
from erp.exchange.online_retail.documents import Document, gather
from erp.exchange.online_retail.rows import Rejected, WrongFormat, read_lines
from erp.exchange.online_retail.upload import Outcome, Upload

imports = typer.Typer(no_args_is_help=True, help="Bring data in through the public API.")
_console = Console()

_SHOWN_REJECTIONS = 20


@imports.callback()
def _group() -> None:
    """Keeps `erp import <format>` a group while there is one format."""


@imports.command("online-retail")
def online_retail(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV, plain or gzip-compressed.")],
    tenant: Annotated[str, typer.Option(help="Slug of the tenant; made on the local fleet when it is not there.")],
    url: Annotated[str, typer.Option(help="Where the API is; the local fleet unless given.")] = "",
    key: Annotated[str, typer.Option(envvar="ERP_API_KEY", help="API key of the tenant, if not made here.")] = "",
    ca: Annotated[Path | None, typer.Option(help="Certificate authority to trust.")] = None,
    streams: Annotated[int, typer.Option(min=1, max=16, help="Requests under way at once.")] = 2,
    rejects: Annotated[Path | None, typer.Option(help="Where to write the lines that were not booked.")] = None,
) -> None:
    """Load a file in the UCI "Online Retail" format. Cut off at any point, it is simply run again."""
    try:
        documents, unreadable = gather(read_lines(file))
    except WrongFormat as error:
        raise typer.BadParameter(str(error)) from error
    if not documents:
        raise typer.BadParameter(f"{file} holds no document.")
    if rejects is not None:  # not only after an hour of loading
        try:
            rejects.open("a").close()
        except OSError as error:
            raise typer.BadParameter(f"{rejects} cannot be written: {error.strerror}.") from error
    layout = state_layout()
    url, ca = url or _local_url(layout), ca or (layout.certificate if layout.certificate.exists() else None)
    first = min(document.day for document in documents)
    try:
        token = key or asyncio.run(_local_key(url, ca, tenant, first))
        started = time.perf_counter()
        outcome = asyncio.run(_load(url, token, ca, documents, _digest(file), streams))
    except ApiProblem as problem:
        _console.print(f"[red]{problem}[/red]")
        raise typer.Exit(1) from problem
    outcome.rejected += unreadable
    _report(outcome, documents, time.perf_counter() - started)
    if rejects is not None:
        rejects.write_text("".join(f"{one.number}\t{one.reason}\n" for one in sorted(outcome.rejected)))


async def _local_key(url: str, ca: Path | None, slug: str, first: date) -> str:
    """The key of a tenant of the local fleet, which is made when it is not there yet. Raises ApiProblem."""
    layout = state_layout()
    if (known := known_keys(layout).get(slug)) is not None:
        return known
    if not layout.credentials.exists():
        raise ApiProblem(f"No key is known for `{slug}`: pass --key, or start the local fleet with `erp up`.")
    operator = Api.over_tls(url, keep(layout.credentials).operator_key, ca)
    body = {
        "slug": slug, "name": slug, "base_currency": "GBP", "country": "GB", "time_zone": "Europe/London",
        "chart": "uk-small", "first_fiscal_year": first.year - 1,
    }  # fmt: skip
    try:
        created = await operator.post("/v1/tenants", body)
    finally:
        await operator.close()
    token: str = created["owner_key"]["secret"]
    remember_key(layout, slug, token)
    return token


async def _load(
    url: str, token: str, ca: Path | None, documents: list[Document], digest: str, streams: int
) -> Outcome:
    api = Api.over_tls(url, token, ca, connections=streams + 1)
    columns = (TextColumn("{task.description:<14}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_console) as display:
        tasks: dict[str, TaskID] = {}

        def progress(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = display.add_task(stage, total=total)
            display.update(tasks[stage], completed=done, total=total)

        try:
            return await Upload(api, streams=streams, progress=progress).run(documents, digest)
        finally:
            await api.close()


def _local_url(layout: Layout) -> str:
    status = read_status(layout)
    if status is None or not status.url:
        raise typer.BadParameter("No fleet runs here: start it with `erp up`, or name a service with --url.")
    return status.url


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        found = sha256()
        while chunk := stream.read(1 << 20):
            found.update(chunk)
    return found.hexdigest()[:16]


def _report(outcome: Outcome, documents: list[Document], seconds: float) -> None:
    table = Table(title="Import")
    for heading in ("kind", "documents", "already there", "net"):
        table.add_column(heading, justify="left" if heading == "kind" else "right")
    for kind in outcome.net:
        table.add_row(
            kind.value, str(outcome.booked[kind]), str(outcome.already_there[kind]), f"{outcome.net[kind]:,.2f}"
        )
    _console.print(table)
    lines = sum(len(document.lines) for document in documents)
    _console.print(
        f"{outcome.documents:,} of {len(documents):,} documents, {outcome.lines:,} of {lines:,} lines, "
        f"net {sum(outcome.net.values()):,.2f}, {outcome.parties:,} parties, {outcome.products:,} products "
        f"in {seconds:.1f} s ({outcome.lines / seconds:,.0f} lines/s)"
    )
    _show_rejections(outcome.rejected)


def _show_rejections(rejected: list[Rejected]) -> None:
    if not rejected:
        return
    _console.print(f"[yellow]{len(rejected):,} lines were not booked:[/yellow]")
    for one in sorted(rejected)[:_SHOWN_REJECTIONS]:
        _console.print(f"  line {one.number}: {one.reason}", highlight=False)
    if len(rejected) > _SHOWN_REJECTIONS:
        _console.print(f"  ... and {len(rejected) - _SHOWN_REJECTIONS:,} more (see --rejects)")
