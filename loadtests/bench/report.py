"""The table and the file that a run leaves."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from loadtests.bench.aims import Found, Verdict
from loadtests.bench.machine import Machine
from loadtests.fleet import Limit

#: Groups of processes as `Fleet.cpu` names them, and the head of their column.
_GROUPS = {
    "api": "api", "primary": "primary", "standbys": "standby", "pgbouncer": "pooler", "redis": "redis",
    "nginx": "nginx", "workers": "workers", "supervisor": "superv", "generator": "client",
}  # fmt: skip
_WIDTH = 192
#: CPUs that something else may keep busy without spoiling the figures much.
_QUIET = 0.2


#: The head of a column and what it shows of a scenario.
Column = tuple[str, Callable[[Found], str]]


class SellOut(msgspec.Struct, frozen=True):
    """Many clients after the last pieces: pieces there were, orders accepted, what is reserved and left now.

    `sold` is None when an order was refused for another reason than that nothing was left.
    """

    clients: int
    pieces: int
    sold: int | None
    reserved: str
    available: str

    @property
    def exact(self) -> bool:
        return self.sold == self.pieces == Decimal(self.reserved) and not Decimal(self.available)


class Proof(msgspec.Struct, frozen=True):
    """What GET /v1/proof said at the end; `broken`: the names of the rules that do not hold."""

    holds: bool
    checks: int
    broken: list[str]


class Report(msgspec.Struct, frozen=True):
    """Everything of one run. `failures`: why the run as a whole is not good; times are never among them."""

    taken_at: str
    machine: Machine
    raised_limits: dict[str, tuple[int, int]]
    seconds: float
    results: dict[str, Found]
    aims: list[Verdict]
    sell_out: SellOut | None
    oversold: list[str]
    proof: Proof
    restarts: dict[str, int]
    failures: list[str]


def console() -> Console:
    """Wide enough for the table when the output is a file or a pipe."""
    found = Console()
    return found if found.is_terminal else Console(width=_WIDTH)


def show_limits(out: Console, limits: Sequence[Limit]) -> None:
    if not limits:
        out.print("All limits are at their defaults.")
        return
    table = Table("limit raised by configuration", "setting", "default", "now", box=None, pad_edge=False)
    for one in limits:
        table.add_row(one.meaning, one.name, f"{one.default:,}", f"{one.now:,}")
    out.print(table)


def show_machine(out: Console, machine: Machine) -> None:
    durable = ", ".join(f"{name}={value}" for name, value in machine.durability.items())
    standbys = ", ".join(f"{name} {state}" for name, state in machine.standbys.items()) or "none"
    versions = ", ".join(f"{name} {value}" for name, value in machine.versions.items())
    running = ", ".join(f"{count} {name}" for name, count in machine.processes.items())
    out.print(f"machine     {machine.cores} cores, {machine.model}, {machine.memory_gib} GiB, {machine.system}")
    out.print(f"processes   {running}; generator, pgbench and all servers share these cores")
    out.print(f"durability  {durable}; standbys: {standbys}")
    out.print(f"versions    {versions}")


def show_report(out: Console, report: Report) -> None:
    """The one table, the verdicts, and what went wrong."""
    out.print()
    for table in _tables(report.results, out.width):
        out.print(table)
    _show_noise(out, report.results)
    _show_steps(out, report.results)
    out.print()
    aims = Table("aim", "found", "verdict", box=None, pad_edge=False)
    for one in report.aims:
        aims.add_row(one.aim, one.found, Text("met", "green") if one.met else Text("not met", "yellow"))
    out.print(aims)
    out.print()
    if report.sell_out is not None:
        sold = report.sell_out
        out.print(
            f"sell-out: {sold.clients} clients, {sold.pieces} pieces there, {sold.sold} sold, "
            f"{sold.reserved} reserved, {sold.available} left"
        )
    state = Text("holds", "green") if report.proof.holds else Text(f"broken: {', '.join(report.proof.broken)}", "red")
    out.print(Text.assemble(f"proof of the books ({report.proof.checks} rules): ", state))
    for failure in report.failures:
        out.print(Text(f"failed: {failure}", "red"))


def _tables(results: dict[str, Found], width: int) -> list[Table]:
    """One table where it fits, else rates and CPU apart."""
    if width >= _WIDTH:
        return [_table(results, [*_RATES, *_CPU], "through nginx and TLS, all guards on; CPU in ms a request")]
    return [
        _table(results, _RATES, "through nginx and TLS, all guards on"),
        _table(results, _CPU, "CPU in ms a request, by group of processes"),
    ]


def _table(results: dict[str, Found], columns: Sequence[Column], title: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, title_style="bold")
    table.add_column("scenario", no_wrap=True)
    for name, _ in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for found in results.values():
        table.add_row(found.measured.name, *(shown(found) for _, shown in columns))
    return table


def _rates() -> list[Column]:
    return [
        ("clients", lambda found: str(found.measured.clients)),
        ("rate/s", lambda found: f"{found.measured.rate:,.0f}"),
        ("p50 ms", lambda found: f"{found.measured.latency.p50:.1f}"),
        ("p95 ms", lambda found: f"{found.measured.latency.p95:.1f}"),
        ("p99 ms", lambda found: f"{found.measured.latency.p99:.1f}"),
        ("errors", lambda found: str(sum(found.measured.errors.values()))),
        ("bare/s", lambda found: f"{found.bare.rate:,.0f}" if found.bare else ""),
        ("of bare", lambda found: f"{found.share:.0%}" if found.share is not None else ""),
    ]


def _cpu() -> list[Column]:
    def of(group: str) -> Column:
        return _GROUPS[group], lambda found: f"{found.measured.cpu_ms.get(group, 0.0):.2f}"

    return [
        *(of(group) for group in _GROUPS),
        ("bare", lambda found: f"{found.bare.cpu_ms / len(found.measured.by_request):.2f}" if found.bare else ""),
        ("cores", lambda found: f"{found.measured.cores:.2f}"),
        ("other", lambda found: f"{found.measured.elsewhere:.2f}"),
    ]


_RATES, _CPU = _rates(), _cpu()


def _show_noise(out: Console, results: dict[str, Found]) -> None:
    busy = [found.measured for found in results.values() if found.measured.elsewhere > _QUIET]
    for one in busy:
        told = f"{one.name}: other programs kept {one.elsewhere:.2f} cores busy, so the fleet could do more than this"
        out.print(Text(told, "yellow"))


def _show_steps(out: Console, results: dict[str, Found]) -> None:
    """The requests a step is made of, where there are several."""
    for found in results.values():
        one = found.measured
        if one.unit_latency is None:
            continue
        whole = one.unit_latency
        out.print(f"{one.name}: whole {whole.p50:.0f} / {whole.p95:.0f} / {whole.p99:.0f} ms (p50 / p95 / p99)")
        for name, figures in one.by_request.items():
            out.print(f"    {name:<8} {figures.p50:6.1f} / {figures.p95:6.1f} / {figures.p99:6.1f} ms")


def write_report(path: Path, report: Report) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
