"""Writers that are killed leave whole streams, and writers that race do not write past each other."""

import asyncio
import json
import re
import signal
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from db.consistency import PRIMARY_ONLY
from db.errors import DomainError
from erp.eventstore.repository import STREAM, STREAM_VERSION
from erp.eventstore.schemas import AppendInput
from erp.eventstore.service import append_event
from tenancy.database import TenantDatabase
from tenancy.work import UnitOfWork
from tests.api.whole.conftest import Tenant
from tests.eventstore.busride import of
from tests.eventstore.dying_writer import TOGETHER
from tests.workers.conftest import Processes, Tables, signal_group

pytestmark = pytest.mark.usefixtures("clean")

_ACKNOWLEDGED = re.compile(r"acknowledged (\S+) (\d+)")


@pytest.mark.parametrize("after", [0, 7, None], ids=["in its first append", "in a later one", "anywhere"])
async def test_a_killed_writer_leaves_whole_streams(
    after: int | None, processes: Processes, tenant: Tenant, tables: Tables
) -> None:
    streams = [str(uuid.uuid4()) for _ in range(4)]
    told = {"tenant": tenant.id, "slug": tenant.slug, "streams": streams, "after": after}
    writer = processes.run("-m", "tests.eventstore.dying_writer", json.dumps(told))
    mine = "FROM events WHERE tenant_id = %(id)s AND aggregate_type = 'x-log'"
    if after is None:
        await tables.until(f"SELECT count(*) > 60 {mine}", id=tenant.id)
        signal_group(writer, signal.SIGKILL)
    assert await asyncio.to_thread(writer.process.wait, 60) == -signal.SIGKILL, processes.log()
    await tables.until("SELECT count(*) = 0 FROM pg_stat_activity WHERE state LIKE 'idle in transaction%%'")
    held = dict.fromkeys(streams, 0)
    for row in tables.rows(f"SELECT aggregate_id, version, data {mine} ORDER BY aggregate_id, version", id=tenant.id):
        stream = str(row["aggregate_id"])
        held[stream] += 1
        assert (row["version"], row["data"]["n"]) == (held[stream], held[stream]), "no gap"
    assert {count % TOGETHER for count in held.values()} == {0}, "a transaction is there as a whole, or not at all"
    acknowledged = {stream: int(version) for stream, version in _ACKNOWLEDGED.findall(processes.log())}
    assert all(held[stream] >= version for stream, version in acknowledged.items()), "what was acknowledged is there"
    outbox = "SELECT count(*) FROM outbox WHERE tenant_id = %(id)s AND aggregate_id = ANY(%(streams)s::uuid[])"
    assert tables.value(outbox, id=tenant.id, streams=streams) == sum(held.values()), "and will be published"
    for stream, version in held.items():
        body = {"stream_type": "x-log", "stream_id": stream, "type": "x-log.written", "data": {"n": version + 1}}
        await tenant.post("/v1/events", {**body, "expected_version": version}, 201)


Append = Callable[[UnitOfWork, AppendInput], Awaitable[Any]]


async def append_blindly(work: UnitOfWork, data: AppendInput) -> Any:
    """The planted bug: whatever version the writer has seen, its event becomes the next one."""
    [found] = await work.load(STREAM_VERSION(aggregate_id=data.stream_id))
    seen = found[0][0] if found else 0
    return await append_event(
        work, AppendInput(stream_type=data.stream_type, stream_id=data.stream_id, expected_version=seen,
                          type=data.type, data=data.data),
    )  # fmt: skip


async def spend(database: TenantDatabase, tenant: Tenant, append: Append, *, writers: int = 4) -> list[str]:
    """Each would take 60 out of an account of 100, and sees that it may; then each writes. How each fared."""
    stream, caller = uuid.uuid4(), of(tenant)
    seen = []
    for _ in range(writers):
        [events] = await database.read(
            caller, STREAM(aggregate_id=stream, aggregate_type="x-account"), consistency=PRIMARY_ONLY
        )
        assert 100 + sum(event.data["amount"] for event in events) >= 60
        seen.append(len(events))
    ended = []
    for version in seen:
        wanted = AppendInput(
            stream_type="x-account", stream_id=stream, expected_version=version, type="x-account.spent",
            data={"amount": -60},
        )  # fmt: skip
        try:
            await database.run(caller, lambda work, wanted=wanted: append(work, wanted))  # type: ignore[misc]
        except DomainError as refusal:
            ended.append(refusal.code)
        else:
            ended.append("spent")
    return ended


@pytest.mark.parametrize("append", [append_event, append_blindly])
async def test_nobody_spends_what_another_has_spent_meanwhile(
    append: Append, tenant: Tenant, database: TenantDatabase
) -> None:
    ended = await spend(database, tenant, append)
    if append is append_event:
        assert sorted(ended) == ["spent", *["stream-version-conflict"] * 3]
    else:
        assert ended == ["spent"] * 4, "without the check the account is overdrawn"
