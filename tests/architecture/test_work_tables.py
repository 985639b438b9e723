"""The tables work passes through: events are written once, the outbox is filled by them alone, queues stay cheap."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from db.statement import Bound
from tenancy.platform import PlatformDatabase, PlatformSession
from tests.services import Services
from tests.workers.conftest import Tables, feeding
from tests.workers.conftest import clean as clean
from tests.workers.conftest import platform as platform
from tests.workers.conftest import queue_redis as queue_redis
from tests.workers.conftest import tables as tables
from workers.event_repository import TAKE_EVENTS

#: What changes when a job is taken, its lease renewed, its progress noted. In no index, or every one of these writes
#: an entry into each.
CHANGED_BY_WORKERS = {"state", "attempts", "fence", "lease_until", "started_at", "progress", "version"}


@pytest.fixture
def catalogue(services: Services) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(services.superuser_url, autocommit=True) as connection:
        yield connection


def test_nobody_may_change_or_remove_events(catalogue: psycopg.Connection[Any]) -> None:
    for role in ("erp_app", "erp_platform"):
        for privilege in ("UPDATE", "DELETE", "TRUNCATE"):
            asked = "SELECT has_table_privilege(%s, 'events', %s)"
            assert catalogue.execute(asked, [role, privilege]).fetchone() == (False,), f"{role}: {privilege}"
        asked = "SELECT has_any_column_privilege(%s, 'events', 'UPDATE')"
        assert catalogue.execute(asked, [role]).fetchone() == (False,), role


@pytest.mark.parametrize("change", ["UPDATE events SET type = type", "DELETE FROM events"])
def test_not_even_who_owns_the_database_changes_events(catalogue: psycopg.Connection[Any], change: str) -> None:
    with pytest.raises(psycopg.errors.RestrictViolation, match="written once"):
        catalogue.execute(change)


def test_who_writes_events_takes_none_out_of_the_outbox(catalogue: psycopg.Connection[Any]) -> None:
    for privilege in ("UPDATE", "DELETE", "TRUNCATE"):
        asked = "SELECT has_table_privilege('erp_app', 'outbox', %s)"
        assert catalogue.execute(asked, [privilege]).fetchone() == (False,), privilege


def test_an_event_is_in_the_outbox_whoever_writes_it_and_however(catalogue: psycopg.Connection[Any]) -> None:
    """Also a program of another release, or a hand."""
    tenant, aggregate = uuid4(), uuid4()
    with catalogue.transaction(force_rollback=True):
        catalogue.execute(
            "INSERT INTO events (tenant_id, event_id, aggregate_type, aggregate_id, version, type, data)"
            " SELECT %s, gen_random_uuid(), 'probe', %s, n, 'probe.moved', '{}' FROM generate_series(1, 3) AS n",
            [tenant, aggregate],
        )
        left = catalogue.execute(
            "SELECT outbox.version, outbox.position = events.position FROM outbox"
            " JOIN events USING (tenant_id, aggregate_id, version) WHERE aggregate_id = %s ORDER BY 1",
            [aggregate],
        ).fetchall()
    assert left == [(1, True), (2, True), (3, True)]


def indexed_columns(catalogue: psycopg.Connection[Any], table: str) -> set[str]:
    """Every column an index of the table stands on: keys, included columns, expressions and conditions."""
    found = catalogue.execute(
        "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid"
        " WHERE i.indrelid = %(table)s::regclass AND (a.attnum = ANY (i.indkey) OR EXISTS ("
        "  SELECT FROM pg_depend d WHERE d.objid = i.indexrelid AND d.refobjid = i.indrelid"
        "   AND d.refobjsubid = a.attnum))",
        {"table": table},
    )
    return {name for (name,) in found.fetchall()}


def test_taking_a_job_changes_nothing_an_index_stands_on(catalogue: psycopg.Connection[Any]) -> None:
    assert indexed_columns(catalogue, "jobs") & CHANGED_BY_WORKERS == set()


@pytest.mark.parametrize("columns", ["(lease_until)", "(queue) WHERE state = 'running'"])
def test_such_an_index_would_be_found(catalogue: psycopg.Connection[Any], columns: str) -> None:
    """The planted bug of the test above."""
    with catalogue.transaction(force_rollback=True):
        catalogue.execute(f"CREATE INDEX ON jobs {columns}")
        with pytest.raises(AssertionError):
            test_taking_a_job_changes_nothing_an_index_stands_on(catalogue)


@pytest.mark.parametrize("statement", [TAKE_EVENTS(at_most=500), feeding({"low": 500})], ids=["relay", "dispatch"])
async def test_the_plan_of_an_empty_queue_reads_a_long_one_by_index_too(
    platform: PlatformDatabase, tables: Tables, clean: None, statement: Bound[Any]
) -> None:
    """Plans are kept: one that reads the whole table because it is empty does so when it has a million rows."""
    tables.rows("ANALYZE outbox, jobs")
    explained: Bound[Any] = Bound(f"EXPLAIN {statement.sql}", statement.parameters)

    async def explain(session: PlatformSession) -> str:
        [lines] = await session.load(explained)
        return "\n".join(line for (line,) in lines)

    plan = await platform.run(explain)
    assert "Seq Scan" not in plan, plan
    assert "Index" in plan
