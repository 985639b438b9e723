"""The `erp` command."""

import typer

from deploy.local.commands import fleet
from erp.exchange.commands import imports
from erp.exchange.demo.commands import demo

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="The ERP backend on this machine.")
app.add_typer(fleet)
app.add_typer(imports, name="import")
app.command()(demo)


def main() -> None:
    """Entry point of the installed script."""
    app()


if __name__ == "__main__":
    main()
