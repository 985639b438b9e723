"""`erp up | status | logs | down | reset`: the fleet on this machine, from the command line."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from deploy.local.descendants import birth, end_process
from deploy.local.errors import LocalFleetError
from deploy.local.layout import Layout, state_layout
from deploy.local.options import read_options
from deploy.local.plan import REPOSITORY, make_plan
from deploy.local.processes import open_log, tail
from deploy.local.status import FleetStatus, is_supervised, read_status
from deploy.local.supervisor import supervise

START_SECONDS = 300.0
STOP_SECONDS = 120.0
NOT_RUNNING = 3
COLOURS = {"ready": "green", "starting": "yellow", "unready": "red", "waiting": "red", "stopped": "dim"}

fleet = typer.Typer(no_args_is_help=True, help="The whole fleet on this machine.")
console = Console()


@fleet.command()
def up(
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay attached; Ctrl-C stops it all.")] = False,
) -> None:
    """Start everything: PostgreSQL x 3, PgBouncer, Redis x 2, API, workers, coordinators, nginx."""
    layout = state_layout()
    if is_supervised(layout):
        console.print("The fleet is up already.")
        _await_all_ready(layout)
        status()
        return
    end_leftovers(layout)
    if foreground:
        _guarded(lambda: supervise(console.print))
        return
    bring_up(layout)
    status()


@fleet.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show every process. Exit code 0: all ready; 1: something is not; 3: not running."""
    layout = state_layout()
    found = read_status(layout)
    if found is None or not is_supervised(layout):
        console.print(f"The fleet is not running (state in {layout.root}). Start it with: erp up", soft_wrap=True)
        if found is not None and found.phase == "failed":
            console.print(Text(f"The last start failed: {found.message}", style="red"), soft_wrap=True)
        raise typer.Exit(NOT_RUNNING)
    if as_json:
        print(json.dumps(_facts(found)))
    else:
        console.print(_table(found))
        console.print(_summary(layout, found), soft_wrap=True)  # what is to be copied stays in one line
    if found.phase != "running" or any(child.state != "ready" for child in found.children):
        raise typer.Exit(1)


@fleet.command()
def logs(
    names: Annotated[list[str] | None, typer.Argument(help="Processes; all when none is named.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing what is added.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many of the last lines.")] = 20,
) -> None:
    """Print the end of the logs."""
    layout = state_layout()
    files = {path.stem: path for path in sorted(layout.logs.glob("*.log"))}
    unknown = [name for name in names or () if name not in files]
    if unknown or not files:
        console.print(f"No log of {', '.join(unknown) or 'anything'}. There are: {', '.join(files) or 'none'}")
        raise typer.Exit(1)
    chosen = {name: path for name, path in files.items() if not names or name in names}
    width = max(map(len, chosen)) if len(chosen) > 1 else 0
    for name, path in chosen.items():
        for line in tail(path, lines).splitlines():
            _print_line(name, line, width)
    if follow:
        _follow(chosen)


@fleet.command()
def down() -> None:
    """Stop everything, in order, and see to it that nothing is left."""
    layout = state_layout()
    if not is_supervised(layout):
        ended = end_leftovers(layout)
        console.print("Stopped what an ended supervisor had left." if ended else "The fleet is not running.")
        return
    take_down(layout)
    console.print("The fleet is down. Its data is kept; `erp up` continues, `erp reset` deletes it.")


@fleet.command()
def reset(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Stop everything and delete the state directory: all data of the local fleet."""
    layout = state_layout()
    if not layout.root.exists():
        console.print(f"There is nothing in {layout.root}.", soft_wrap=True)
        return
    if not yes:
        typer.confirm(f"Delete {layout.root} with all its data?", abort=True)
    if is_supervised(layout):
        take_down(layout)
    end_leftovers(layout)
    _guarded(layout.delete)
    console.print(f"Deleted {layout.root}.")


@fleet.command()
def env() -> None:
    """Print the settings of an application process as shell exports (they hold passwords)."""
    plan = make_plan(state_layout(), read_options())
    values = plan.endpoints.environment("shell", "api", public_url=plan.url)
    for name, value in {**values, "ERP_CA_FILE": str(plan.layout.certificate)}.items():
        print(f"export {name}={shlex.quote(value)}")


def bring_up(layout: Layout) -> FleetStatus:
    """Start the supervisor in the background and wait until all is ready; exits with the reason if not."""
    log = layout.log("supervisor")
    with open_log(log) as output:
        process = subprocess.Popen(
            (sys.executable, "-m", "deploy.local.supervisor"),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=REPOSITORY,
            start_new_session=True,
        )
    try:
        found = _watch_start(layout, process)
    except KeyboardInterrupt:
        console.print("Stopping again ...")
        process.send_signal(signal.SIGTERM)
        process.wait()
        raise typer.Exit(130) from None
    if found is None:
        last = read_status(layout)
        reason = last.message if last is not None and last.pid == process.pid else ""
        console.print(Text(reason or tail(log), style="red"), soft_wrap=True)
        raise typer.Exit(1)
    return found


def _await_all_ready(layout: Layout, seconds: float = 60.0) -> None:
    """A process that is just being restarted is waited for; `status` tells what is not back by then."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = read_status(layout)
        if found is None or all(child.state == "ready" for child in found.children):
            return
        time.sleep(0.2)


def take_down(layout: Layout) -> None:
    """Ask the supervisor to stop and wait for its end; remove by force what does not end."""
    found = read_status(layout)
    if found is None:
        return
    born = birth(found.pid)
    os.kill(found.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    with Live(console=console, refresh_per_second=8) as live:
        while is_supervised(layout) and time.monotonic() < deadline:
            now = read_status(layout)
            if now is not None:
                live.update(_steps(now, only="stopped"))
            time.sleep(0.1)
        live.update(_steps(read_status(layout) or found, only="stopped"))
    if born is not None:
        end_process(found.pid, born, patience=5.0)
    end_leftovers(layout)


def end_leftovers(layout: Layout) -> bool:
    """End processes of a supervisor that was killed. They end by themselves; this makes sure."""
    found = read_status(layout)
    if found is None or is_supervised(layout):
        return False
    left = [child for child in found.children if child.pid and birth(child.pid) == child.born]
    for child in left:
        end_process(child.pid, child.born, patience=10.0)
    return bool(left)


def _watch_start(layout: Layout, process: "subprocess.Popen[bytes]") -> FleetStatus | None:
    """Show the start until all is ready; None when it failed. Another `up` may have been first: then its start."""
    deadline = time.monotonic() + START_SECONDS
    with Live(console=console, refresh_per_second=8) as live:
        while time.monotonic() < deadline:
            ended = process.poll() is not None
            if ended and not is_supervised(layout):
                return None
            found = read_status(layout)
            if found is not None and (ended or found.pid == process.pid):
                live.update(_steps(found))
                if found.phase == "running":
                    return found
            time.sleep(0.1)
    return None


def _steps(found: FleetStatus, only: str = "") -> Text:
    shown = Text()
    for step in found.steps:
        if step.text.startswith("stopped") != bool(only):
            continue
        if step.seconds is None:
            shown.append(f"  …  {step.text}\n", style="yellow")
        else:
            shown.append("  ✓", style="green").append(f"  {step.text} ({step.seconds:.1f} s)\n")
    return shown


def _table(found: FleetStatus) -> Table:
    table = Table("process", "pid", "port", "state", "restarts", "up for", box=None, pad_edge=False)
    for child in found.children:
        table.add_row(
            child.name,
            str(child.pid or ""),
            str(child.port or ""),
            Text(child.state, style=COLOURS.get(child.state, "")),
            str(child.restarts) + (f" (last exit {child.last_exit})" if child.last_exit is not None else ""),
            _span(time.time() - child.started) if child.started else "",
        )
    return table


def _summary(layout: Layout, found: FleetStatus) -> str:
    lines = ["", f"{found.phase}: {found.url}   state, logs and keys: {layout.root}"]
    if layout.certificate.exists():
        lines.append(f"try: curl --cacert {layout.certificate} {found.url}/health/ready")
    return "\n".join([*lines, *(f"note: {note}" for note in found.notes)])


def _facts(found: FleetStatus) -> dict[str, object]:
    children = [
        {"name": one.name, "pid": one.pid, "port": one.port, "state": one.state, "restarts": one.restarts}
        for one in found.children
    ]
    return {"phase": found.phase, "url": found.url, "pid": found.pid, "processes": children}


def _span(seconds: float) -> str:
    whole = int(seconds)
    days, hours, minutes = whole // 86_400, whole // 3_600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {whole % 60} s"


def _print_line(name: str, line: str, width: int) -> None:
    """`width` of the column with the names; 0: there is only one."""
    print(f"{name:<{width}} | {line}" if width else line)


def _follow(files: dict[str, Path]) -> None:
    width = max(map(len, files)) if len(files) > 1 else 0
    places = {name: path.stat().st_size for name, path in files.items()}
    try:
        while True:
            for name, path in files.items():
                size = path.stat().st_size
                start = 0 if size < places[name] else places[name]  # cut meanwhile: from its beginning
                with path.open("rb") as file:
                    file.seek(start)
                    added = file.read(size - start)
                whole = added[: added.rfind(b"\n") + 1]  # the rest of a line that is being written comes later
                places[name] = start + len(whole)
                for line in whole.decode(errors="replace").splitlines():
                    _print_line(name, line, width)
            sys.stdout.flush()
            time.sleep(0.2)
    except KeyboardInterrupt:
        return


def _guarded(action: Callable[[], None]) -> None:
    try:
        action()
    except LocalFleetError as failure:
        console.print(Text(str(failure), style="red"), soft_wrap=True)
        raise typer.Exit(1) from None
