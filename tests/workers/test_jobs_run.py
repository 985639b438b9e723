"""From a row to its effect, through real processes."""

from tests.workers.conftest import Enqueue, Newcomer, Processes, Tables


async def test_a_job_left_by_a_command_is_done(
    processes: Processes, tables: Tables, newcomer: Newcomer, enqueue: Enqueue
) -> None:
    caller = newcomer()
    processes.coordinator()
    processes.worker()
    job = await enqueue(caller, "probe.quick")
    await tables.until("SELECT state = 'done' FROM jobs WHERE id = %(id)s", id=job)
    row = tables.job(job)
    assert (row["attempts"], row["result"], row["lease_until"]) == (1, {"answer": 42}, None)
    assert len(tables.effects(job)) == 1
