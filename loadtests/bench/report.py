"""The table and the file that a run leaves."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from loadtests.bench.aims import Found, Verdict
from loadtests.bench.fleet import Limit
from loadtests.bench.machine import Machine

_GROUPS = ("api", "primary", "standbys", "pgbouncer", "redis", "nginx", "workers", "supervisor", "generator")
_WIDTH = 168


class SellOut(msgspec.Struct, frozen=True):
    """Many clients after the last pieces: pieces there were, orders accepted, what is reserved and left now."""

    clients: int
    pieces: str
    sold: str
    reserved: str
    available: str

    @property
    def exact(self) -> bool:
        return float(self.sold) == float(self.pieces) == float(self.reserved) and float(self.available) == 0


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
    out.print(_table(report.results))
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


def _table(results: dict[str, Found]) -> Table:
    table = Table(
        title="through nginx and TLS, all guards on; CPU in ms a request, by group of processes",
        title_justify="left",
        pad_edge=False,
    )
    table.add_column("scenario", no_wrap=True)
    for name in ("clients", "rate/s", "p50 ms", "p95 ms", "p99 ms", "errors", "bare/s", "of bare", *_GROUPS, "cores"):
        table.add_column(name, justify="right", no_wrap=True)
    for found in results.values():
        one, bare = found.measured, found.bare
        table.add_row(
            one.name,
            str(one.clients),
            f"{one.rate:,.0f}",
            *(f"{value:.1f}" for value in (one.latency.p50, one.latency.p95, one.latency.p99)),
            str(sum(one.errors.values())),
            f"{bare.rate:,.0f}" if bare else "",
            f"{found.share:.0%}" if found.share is not None else "",
            *(f"{one.cpu_ms.get(group, 0.0):.2f}" for group in _GROUPS),
            f"{one.cores:.2f}",
        )
    return table


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
