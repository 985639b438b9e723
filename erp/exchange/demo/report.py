"""The report at the end: what was traded, what is there, that it adds up, and what to try next."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from erp.exchange.demo import suggestions
from erp.exchange.demo.client import Address
from erp.exchange.demo.figures import Figures, Stocked
from erp.exchange.demo.probes import Probe
from erp.exchange.demo.shop import Shop, plain
from erp.exchange.demo.waiting import Done

_PLACES: Final = (
    ("/v1", "the API; every request carries a key"),
    ("/docs", "its reference, to read and to try in a browser"),
    ("/schema/openapi.json", "the same as an OpenAPI 3.1 document"),
    ("/problems", "every problem explained"),
    ("/health/ready", "health"),
)
_SHOWN_EVIDENCE = 5
_TICK, _CROSS = Text("✓", style="green"), Text("✗", style="bold red")


@dataclass(frozen=True, slots=True)
class Chronicle:
    """One tenant after the story."""

    shop: Shop
    token: str
    done: Done
    figures: Figures


def show_report(console: Console, address: Address, chronicles: Sequence[Chronicle], probes: Sequence[Probe]) -> bool:
    """Print it all; whether every invariant holds."""
    _trade(console, chronicles)
    for table in (*(_stock(one) for one in chronicles), *(_trial_balance(one) for one in chronicles)):
        console.print(table, "")
    _after_the_answer(console, chronicles)
    _refusals(console, chronicles[0], probes)
    holds = _proof(console, chronicles)
    _next_steps(console, address, chronicles)
    return holds


def _trade(console: Console, chronicles: Sequence[Chronicle]) -> None:
    table = Table(title="What was traded", title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    for one in chronicles:
        table.add_column("", justify="right")
        table.add_column(f"{one.shop.company.name}, {one.shop.company.currency}", justify="right")
    for rows in zip(*(one.figures.traded for one in chronicles), strict=True):
        cells = [cell for row in rows for cell in (str(row.documents), _amount(row.amount))]
        table.add_row(rows[0].kind, *cells)
    for text, totals in (
        ("owed by customers", [one.figures.owed_to_us["total"] for one in chronicles]),
        ("owed to suppliers", [one.figures.owed_by_us["total"] for one in chronicles]),
    ):
        table.add_row(text, *(cell for total in totals for cell in ("", _amount(total))))
    console.print("", table, "")


def _stock(one: Chronicle) -> Table:
    company, total = one.shop.company, one.figures.stock_total
    table = Table(title=f"Stock of {company.name}", title_justify="left", box=None, pad_edge=False)
    table.add_column("product", no_wrap=True)
    for heading in ("on hand", "reserved", "incoming", "unit cost", company.currency):
        table.add_column(heading, justify="right")
    for row in one.figures.stock:
        table.add_row(*_stock_cells(row))
    agrees = total["value"] == total["inventory_account"]
    account = Text.assemble("inventory account ", _TICK if agrees else _CROSS)
    table.add_row("total", "", "", "", "", _amount(total["value"]), style="bold")
    table.add_row(account, "", "", "", "", _amount(total["inventory_account"]))
    return table


def _stock_cells(row: Stocked) -> list[str]:
    cost = f"{Decimal(row.unit_cost):,.4f}" if row.unit_cost else ""
    reserved, incoming = (plain(number) if number else "" for number in (row.reserved, row.incoming))
    return [row.name or row.code, plain(row.on_hand), reserved, incoming, cost, _amount(row.value)]


def _trial_balance(one: Chronicle) -> Table:
    found = one.figures.trial_balance
    title = f"Trial balance of {one.shop.company.name}, {found['as_of']}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("account", no_wrap=True)
    for heading in ("debit", "credit", f"balance {found['currency']}"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in found["accounts"]:
        name = f"{row['account']} {row['name']}"
        table.add_row(name, *(_amount(row[column]) for column in ("debit", "credit", "balance")))
    agrees = Text.assemble("total ", _TICK if found["debit"] == found["credit"] else _CROSS)
    table.add_row(agrees, _amount(found["debit"]), _amount(found["credit"]), _amount("0"), style="bold")
    return table


def _after_the_answer(console: Console, chronicles: Sequence[Chronicle]) -> None:
    console.print("[italic]What the workers did after the answers[/]")
    for one in chronicles:
        company, jobs = one.shop.company, one.figures.jobs
        states = ", ".join(f"{number} {state}" for state, number in sorted(jobs.items()))
        console.print(f"{company.name}: jobs {states}", style="red" if jobs["failed"] else "")
        for text in (
            f"notice about {company.low.name}: {one.done.notice}",
            f"the web shop's basket {one.done.basket}",
            one.done.snapshot,
        ):
            console.print(Text.assemble("  ", _TICK, "  ", text))


def _refusals(console: Console, one: Chronicle, probes: Sequence[Probe]) -> None:
    title = f"Asked of the API just now, with the key of {one.shop.company.slug} unless it says otherwise"
    console.print()
    console.print(Text(title, style="italic"))
    for row in probes:
        answered = Table.grid(padding=(0, 2))
        answered.add_row("", Text("→", style="yellow"), Text(row.answered, style="yellow"))
        console.print(Text(row.asked), answered)


def _proof(console: Console, chronicles: Sequence[Chronicle]) -> bool:
    """Every rule with a tick for each tenant."""
    proofs = [one.figures.proof for one in chronicles]
    slugs = ", ".join(one.shop.company.slug for one in chronicles)
    title = f"Proof: GET /v1/proof recomputes every rule from the rows of each tenant ({slugs})"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, show_header=False)
    for _ in chronicles:
        table.add_column()
    table.add_column(overflow="fold")
    for checks in zip(*(proof["checks"] for proof in proofs), strict=True):
        table.add_row(*(_TICK if check["holds"] else _CROSS for check in checks), Text(checks[0]["rule"]))
        for row in [row for check in checks for row in check["evidence"]][:_SHOWN_EVIDENCE]:
            found = f"{row['table']} {row['id']}: {row['found']} instead of {row['expected']}"
            table.add_row(*("" for _ in checks), Text(found, style="red"))
    console.print("", table)
    return all(proof["holds"] for proof in proofs)


def _next_steps(console: Console, address: Address, chronicles: Sequence[Chronicle]) -> None:
    console.print("\n[italic]Where it is[/]")
    for path, text in _PLACES:
        console.print(f"  {address.url}{path}  [dim]{text}[/]", highlight=False, soft_wrap=True)
    console.print(
        "\n[italic]Try next, in a shell[/] [dim](the keys are the owners' and open everything of a tenant)[/]"
    )
    tokens = {one.shop.company.variable: one.token for one in chronicles}
    for line in suggestions.settings(address, tokens):
        _as_it_is(console, line)
    for text, command in suggestions.commands(address, chronicles[0].shop, chronicles[-1].shop):
        _as_it_is(console, f"# {text}", style="dim")
        _as_it_is(console, command)
    console.print("\nThe fleet stays up: `erp status`, `erp logs -f`, `erp down`; `erp reset` deletes its data.")


def _as_it_is(console: Console, line: str, style: str = "") -> None:
    """A line to be copied: neither wrapped nor coloured in parts."""
    console.print(Text(line, style=style), soft_wrap=True)


def _amount(amount: str | Decimal) -> str:
    return f"{Decimal(amount):,.2f}"
