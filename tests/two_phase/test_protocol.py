"""The protocol on two real databases: who decides when two think they may, and what happens while one is away."""

import contextlib
import re
import uuid
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from db.errors import OutcomeUnknown, Overloaded
from db.pool import Pool, flush
from db.statement import Bound
from db.two_phase import DistributedAbort, DistributedTransaction, TwoPhase, parse_gid, prepare_statement
from db.two_phase_recovery import Recovery
from erp.placed import build_two_phase
from erp.settings import load_settings
from fleet.exposition import render
from tests.services import Services
from workers.recovery import InDoubt

BOTH = ("main", "second")
NOWHERE = "postgresql://erp_app@127.0.0.1:1/erp?connect_timeout=1"


@pytest.fixture
async def two_phase(services: Services) -> AsyncIterator[TwoPhase]:
    made = build_two_phase(load_settings(services.environment("protocol", "api")))
    await made.open()
    yield made
    await made.close()
    for url in (services.superuser_url, services.second_superuser_url):
        with psycopg.connect(url, autocommit=True) as connection:
            for (gid,) in connection.execute(
                "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
            ).fetchall():
                connection.execute(f"ROLLBACK PREPARED '{gid}'")


async def prepared(two_phase: TwoPhase, pools: dict[str, Pool]) -> tuple[str, DistributedTransaction]:
    """A row of the same name in both databases, prepared through the pooler."""
    name, transaction = f"two-phase-{uuid.uuid4().hex}", two_phase.begin()
    for database in BOTH:
        gid = transaction.branch(database)
        write: Bound[Any] = Bound(
            "INSERT INTO leases (name, holder, term, expires_at) VALUES (%(name)s, 'test', 1, now())", {"name": name}
        )
        async with pools[database].connection() as connection:
            await flush(connection, [Bound("BEGIN", {}), write, prepare_statement(gid)])
        transaction.prepared(gid)
    return name, transaction


@pytest.fixture
async def pools(services: Services) -> AsyncIterator[dict[str, Pool]]:
    found = {
        "main": Pool(services.app_url, name="a", size=2), "second": Pool(services.second_app_url, name="b", size=2)
    }  # fmt: skip
    for pool in found.values():
        await pool.open()
    yield found
    for pool in found.values():
        await pool.close()


def rows(services: Services, name: str) -> list[int]:
    """How many rows of the name each database has."""
    found = []
    for url in (services.superuser_url, services.second_superuser_url):
        with psycopg.connect(url, autocommit=True) as connection:
            query = "SELECT count(*) FROM leases WHERE name = %s"
            found += [count for (count,) in connection.execute(query, [name]).fetchall()]
    return found


async def test_both_commit(services: Services, two_phase: TwoPhase, pools: dict[str, Pool]) -> None:
    name, transaction = await prepared(two_phase, pools)
    assert rows(services, name) == [0, 0]
    assert sorted(await transaction.commit()) == [0, 1]
    assert rows(services, name) == [1, 1]


async def test_a_slow_coordinator_finds_itself_given_up(
    services: Services, two_phase: TwoPhase, pools: dict[str, Pool]
) -> None:
    name, transaction = await prepared(two_phase, pools)
    findings = await Recovery(two_phase, grace=0.0).run()
    assert findings.aborted == 2
    with pytest.raises(DistributedAbort):
        await transaction.commit()
    assert rows(services, name) == [0, 0]


async def test_an_abort_that_is_not_logged_would_end_the_halves_differently(
    services: Services, two_phase: TwoPhase, pools: dict[str, Pool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug: recovery tells a participant to abort without writing that down first."""
    name, transaction = await prepared(two_phase, pools)
    recovery = Recovery(await replace_direct(two_phase, "second", NOWHERE), grace=0.0)

    async def unlogged(ids: list[Any], given_up: Any, reason: str = "") -> dict[Any, str]:
        return dict.fromkeys(ids, "abort")

    monkeypatch.setattr(recovery, "_decisions", unlogged)
    await recovery.run()
    await transaction.commit()
    assert rows(services, name) == [0, 1]


async def test_while_its_coordinator_may_still_decide_it_is_left_alone(
    services: Services, two_phase: TwoPhase, pools: dict[str, Pool]
) -> None:
    name, transaction = await prepared(two_phase, pools)
    findings = await Recovery(two_phase, grace=60.0).run()
    assert (findings.aborted, findings.committed) == (0, 0)
    await transaction.commit()
    assert rows(services, name) == [1, 1]


async def test_a_participant_that_is_away_is_told_when_it_is_back(
    services: Services, two_phase: TwoPhase, pools: dict[str, Pool]
) -> None:
    name, transaction = await prepared(two_phase, pools)
    transaction.two_phase = await replace_direct(two_phase, "second", NOWHERE)
    assert list(await transaction.commit()) == [0]
    assert rows(services, name) == [1, 0]
    blind = await Recovery(transaction.two_phase, grace=0.0).run()
    assert (blind.absent, blind.committed) == (["second"], 0)
    assert unfinished(services, transaction.id)
    findings = await Recovery(two_phase, grace=0.0).run()
    assert findings.committed == 1
    assert rows(services, name) == [1, 1]
    await Recovery(two_phase, grace=0.0).run()
    assert not unfinished(services, transaction.id)


async def test_without_the_log_nobody_decides(
    services: Services, two_phase: TwoPhase, pools: dict[str, Pool]
) -> None:
    name, transaction = await prepared(two_phase, pools)
    transaction.two_phase = await replace_direct(two_phase, "main", NOWHERE)
    with pytest.raises(OutcomeUnknown):
        await transaction.commit()
    with pytest.raises(Overloaded):
        await Recovery(transaction.two_phase, grace=0.0).run()
    assert rows(services, name) == [0, 0]
    assert (await Recovery(two_phase, grace=0.0).run()).aborted == 2


def told(name: str) -> dict[str, float]:
    """What the metrics say of each database."""
    found = re.findall(rf'^{name}{{database="(\w+)"}} (\S+)$', render().decode(), re.MULTILINE)
    return {database: float(value) for database, value in found}


@pytest.mark.parametrize("away", BOTH)
async def test_a_database_that_is_away_hides_no_other(
    services: Services, two_phase: TwoPhase, pools: dict[str, Pool], away: str
) -> None:
    """The first one above all: it holds the log, and without it nothing can be done, but all be seen."""
    name, transaction = await prepared(two_phase, pools)
    blind = InDoubt(await replace_direct(two_phase, away, NOWHERE), grace=60.0)
    with pytest.raises(Overloaded) if away == "main" else contextlib.nullcontext():
        await blind.resolve()
    [other] = set(BOTH) - {away}
    assert told("two_phase_unreachable") == {away: 1.0, other: 0.0}
    assert told("two_phase_prepared")[other] == 1.0
    seeing = InDoubt(two_phase, grace=60.0)
    await seeing.resolve()
    assert told("two_phase_unreachable") == {"main": 0.0, "second": 0.0}
    seeing.forget()
    assert told("two_phase_unreachable") == {}
    await transaction.abandon()
    assert rows(services, name) == [0, 0]


async def test_somebody_elses_prepared_transaction_is_seen_and_left_alone(
    services: Services, two_phase: TwoPhase
) -> None:
    with psycopg.connect(services.superuser_url, autocommit=True) as connection:
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE somebody_elses (id int)")
        connection.execute("PREPARE TRANSACTION 'somebody-elses'")
    in_doubt = InDoubt(two_phase, grace=0.0)
    assert not await in_doubt.resolve()
    findings = await Recovery(two_phase).look()
    assert [one.name for one in findings.prepared["main"]] == ["somebody-elses"]
    in_doubt.forget()


async def test_names_tell_whose_they_are(two_phase: TwoPhase) -> None:
    transaction = two_phase.begin()
    gid = transaction.branch("main")
    assert parse_gid(str(gid)) == gid
    assert len(str(TwoPhase({}, coordinator="ünsafe'; --" * 40).begin().branch("main"))) < 200
    assert parse_gid("somebody-elses") is None


async def replace_direct(two_phase: TwoPhase, database: str, url: str) -> TwoPhase:
    """The same coordinator, for which one database is elsewhere."""
    away = Pool(url, name="away", size=1, wait=0.1, kept=0)
    await away.open()
    return TwoPhase({**two_phase.direct, database: away}, coordinator=two_phase.coordinator)


def unfinished(services: Services, transaction: uuid.UUID) -> bool:
    with psycopg.connect(services.superuser_url, autocommit=True) as connection:
        query = "SELECT finished_at IS NULL FROM two_phase_decisions WHERE id = %s AND decision = 'commit'"
        [(found,)] = connection.execute(query, [transaction]).fetchall()
    return bool(found)
