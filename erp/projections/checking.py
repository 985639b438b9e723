"""Read models against the documents: projected = recomputed, or the first row that is not."""

from erp.eventstore.verifying import Difference, Findings, Heard, unheard
from erp.projections.consumers import CONSUMERS, COUNTS
from erp.projections.queries import STATE
from tenancy.caller import Caller
from tenancy.database import TenantDatabase


async def check_projections(database: TenantDatabase, caller: Caller, heard: Heard = unheard) -> Findings:
    """Every read model of the tenant; one that lacks history of releases before counts as incomplete.

    Before each read model `heard` gets what was found so far; what it raises ends the check.
    """
    found = Findings()
    for consumer in CONSUMERS.values():
        for table, check in zip(consumer.tables, consumer.checks, strict=True):
            await heard(found)
            [state], [[count]], rows = await database.read(
                caller, STATE(consumer=consumer.name), COUNTS[table](), check()
            )
            if state.complete is False:
                found = found.plus(Findings(count, incomplete=1))
                continue
            first = None
            if rows:
                first = Difference(table, rows[0].key, "row", rows[0].stored, rows[0].recomputed)
            found = found.plus(Findings(count, 0, len(rows), first))
    return found
