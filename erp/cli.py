"""The `erp` command."""

import typer

from deploy.local.commands import fleet
from erp.exchange.commands import imports
from erp.exchange.demo.commands import demo
from erp.operations.configuration_cli import config
from erp.operations.features_cli import features
from erp.operations.instances_cli import instances
from erp.operations.leader_cli import leader
from erp.operations.payments_cli import payments
from erp.operations.schedules_cli import schedules
from erp.operations.two_phase_cli import two_phase
from erp.operations.usage_cli import quotas, usage
from erp.projections.cli import events, projections

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="The ERP backend on this machine.")
app.add_typer(fleet)
app.add_typer(imports, name="import")
app.add_typer(config, name="config")
app.add_typer(two_phase, name="two-phase")
app.add_typer(payments, name="payments")
app.add_typer(instances, name="instances")
app.add_typer(leader, name="leader")
app.add_typer(features, name="features")
app.add_typer(events, name="events")
app.add_typer(projections, name="projections")
app.add_typer(schedules, name="schedules")
app.add_typer(quotas, name="quotas")
app.command()(usage)
app.command()(demo)


def main() -> None:
    """Entry point of the installed script."""
    app()


if __name__ == "__main__":
    main()
