"""kill -9 of a worker and of API instances under load, on the whole fleet: what was answered holds, once."""

from collections import Counter
from collections.abc import AsyncIterator
from functools import partial

import psycopg
import pytest

from deploy.local.binaries import which
from tests.fleet.local_fleet import LocalFleet, eventually
from tests.fleet.reconciliation import (
    Database,
    expected_records,
    found_records,
    held,
    stock_moved,
    stock_told,
    unfinished_flows,
)
from tests.fleet.storm import IMPORTED, OPENING, SCARCE, Storm, blow, unfinished_jobs
from tests.fleet.traders import Deed, key_of
from tests.fleet.wire import Wire

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(not (which("nginx") and which("pgbouncer")), reason="needs nginx and PgBouncer"),
]

#: The product's promise for jobs of a killed worker, seconds.
TAKEN_OVER_WITHIN = 30.0


@pytest.fixture(scope="module")
async def storm(state: LocalFleet) -> AsyncIterator[Storm]:
    state.up()
    found = await blow(state)
    yield found
    found.database.close()


def test_every_write_got_an_answer_and_the_faults_were_felt(storm: Storm) -> None:
    deeds = storm.history.deeds
    assert [deed for deed in deeds if not deed.answer] == []
    assert {(deed.kind, deed.told["code"]) for deed in deeds if not deed.done} == {("scarce", "insufficient-stock")}
    assert len([deed for deed in deeds if deed.disturbed]) > 10
    print(f"{len(deeds)} writes, {sum(len(deed.tries) for deed in deeds)} requests, {_counted(deeds)}")


def _counted(deeds: list[Deed]) -> dict[str, int]:
    """How often a try ended how."""
    return dict(Counter(str(status) for deed in deeds for status in deed.tries))


def test_every_acknowledged_write_is_there_once_and_nothing_else_is(storm: Storm) -> None:
    """Neither lost nor doubled, and no effect of what was refused."""
    for shop in storm.shops:
        assert found_records(storm.database, storm.history, shop) == expected_records(storm.history, shop)
        assert unfinished_flows(storm.database, storm.history, shop) == []


def test_both_standbys_have_the_same(storm: Storm) -> None:
    [[written]] = storm.database.execute("SELECT pg_current_wal_lsn()").fetchall()
    cluster = storm.fleet.plan.cluster
    for replica in cluster.replicas:
        dsn = replica.dsn("postgres", cluster.credentials.superuser, "erp")
        with psycopg.connect(dsn, autocommit=True) as standby:
            assert eventually(partial(_has_replayed, standby, written))
            for shop in storm.shops:
                assert found_records(standby, storm.history, shop) == expected_records(storm.history, shop)


def _has_replayed(standby: Database, position: str) -> bool:
    [[reached]] = standby.execute("SELECT pg_last_wal_replay_lsn() >= %s", [position]).fetchall()
    return bool(reached)


def test_stock_is_what_the_answers_leave_of_it(storm: Storm) -> None:
    for shop in storm.shops:
        moved = stock_moved(storm.database, shop)
        del moved[shop.scarce]
        assert moved == stock_told(storm.history, shop, OPENING, IMPORTED)


def test_what_is_scarce_is_sold_out_and_not_oversold(storm: Storm) -> None:
    for shop in storm.shops:
        asked = storm.history.of(shop, "scarce")
        sold = [deed for deed in asked if deed.done]
        assert len(sold) == min(SCARCE, len(asked)) == held(storm.database, shop, shop.scarce)


async def test_a_disturbed_write_asked_again_is_answered_as_before(storm: Storm) -> None:
    disturbed = [deed for deed in storm.history.deeds if deed.disturbed]
    for shop in storm.shops:
        wire = Wire(storm.fleet.options.ports["https"], storm.fleet.trust, shop.token)
        for deed in [one for one in disturbed if one.shop is shop][:40]:
            again = await wire.ask("POST", deed.path, deed.body, key_of(deed))
            assert again is not None
            assert (again.status, again.body, again.replayed) == (deed.status, deed.answer, True)
        wire.break_off()


async def test_the_books_are_proven_during_the_faults_and_after(storm: Storm) -> None:
    proofs = storm.proofs + [await storm.ask(shop, "/v1/proof") for shop in storm.shops]
    assert len(proofs) == 6
    assert [check for proof in proofs for check in proof["checks"] if not check["holds"]] == []
    assert all(proof["holds"] for proof in proofs)


def test_the_killed_workers_jobs_were_taken_over_in_time(storm: Storm) -> None:
    assert set(storm.imports) <= set(storm.broken_off)
    assert max(storm.taken_over_after.values()) <= TAKEN_OVER_WITHIN, storm.taken_over_after


def test_all_jobs_are_done_and_had_their_effect_once(storm: Storm) -> None:
    assert unfinished_jobs(storm) == []
    for shop in storm.shops:
        marks = "SELECT text FROM stock_adjustments WHERE tenant_id = %s AND text LIKE 'import-%%'"
        booked = Counter(mark for (mark,) in storm.database.execute(marks, [shop.id]).fetchall())
        assert booked == {f"import-{number:06d}": 1 for number in range(IMPORTED)}
        kinds = "SELECT kind FROM jobs WHERE tenant_id = %s AND slot IS NULL ORDER BY kind"  # daily ones have a slot
        assert storm.database.execute(kinds, [shop.id]).fetchall() == [("bulk_import",), ("low_stock_notice",)]


def test_killed_instances_serve_again(storm: Storm) -> None:
    assert set(storm.served_again) == {"api-1", "api-2"}
    print(f"served again after {storm.served_again}")
    assert eventually(storm.fleet.all_ready)
