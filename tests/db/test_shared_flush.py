"""Look-ups that gather behind a flush share the next one, and none of them notices."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from psycopg import errors as pg

from db import shared_flush
from db.errors import Overloaded
from db.pool import Pool
from db.shared_flush import SharedFlushes
from db.statement import Bound
from tests.services import Services

#: The transaction's beginning tells which flush a statement was in; the setting, whose opening it stood behind.
WHEN_AND_WHOSE = Bound[Any]("SELECT now(), current_setting('app.tenant_id')", {})


def opening(tenant: str) -> Bound[Any]:
    return Bound("SELECT set_config('app.tenant_id', %(tenant)s, true)", {"tenant": tenant})


def held_by(lock: int) -> Bound[Any]:
    """A statement that waits while the lock is taken."""
    return Bound("SELECT pg_advisory_xact_lock(%(lock)s::bigint)", {"lock": lock})


@pytest.fixture
async def pool(services: Services) -> AsyncIterator[Pool]:
    pool = Pool(services.app_url, name="shared", size=4, wait=0.3, prepared=services.prepared_statements)
    await pool.open()
    yield pool
    await pool.close()


@pytest.fixture
def look_ups(pool: Pool) -> SharedFlushes:
    return SharedFlushes(pool)


class Taken:
    """An advisory lock, held until told otherwise; `waiting`: the server processes that wait for it."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], number: int) -> None:
        self._connection = connection
        self.number = number

    async def waiting(self) -> list[int]:
        rows = await self._connection.execute(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = %s", (self.number,)
        )
        return [pid for (pid,) in await rows.fetchall()]

    async def until_waiting(self, processes: int) -> list[int]:
        for _ in range(1000):
            if len(found := await self.waiting()) >= processes:
                return found
            await asyncio.sleep(0.005)
        raise AssertionError(f"{processes} processes did not come to wait")

    async def end(self, process: int) -> None:
        await self._connection.execute("SELECT pg_terminate_backend(%s)", (process,))

    async def let_go(self) -> None:
        await self._connection.execute("SELECT pg_advisory_unlock_all()")


@pytest.fixture
async def taken(services: Services) -> AsyncIterator[Taken]:
    number = uuid.uuid4().int >> 98
    async with await psycopg.AsyncConnection.connect(services.superuser_url, autocommit=True) as connection:
        await connection.execute("SELECT pg_advisory_lock(%s::bigint)", (number,))
        yield Taken(connection, number)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits goes on waiting, so that a test decides who goes together."""
    monkeypatch.setattr(shared_flush, "_PATIENCE", 30.0)


Asked = asyncio.Task[list[Any]]


async def held_up(look_ups: SharedFlushes, taken: Taken) -> tuple[Asked, int]:
    """A look-up that is under way until the lock is let go, and the server process that waits for it."""
    first = asyncio.create_task(look_ups.rows(opening("first"), held_by(taken.number)))
    [process] = await taken.until_waiting(1)
    return first, process


async def in_line(look_ups: SharedFlushes, *wanted: tuple[str, Bound[Any]]) -> list[Asked]:
    """Look-ups that sit behind the one under way, in this order."""
    tasks = [asyncio.create_task(look_ups.rows(opening(tenant), one)) for tenant, one in wanted]
    await asyncio.sleep(0)  # each task runs as far as its seat
    assert len(look_ups._line) == len(wanted)
    return tasks


async def whose_of(task: Asked) -> str:
    """The tenant that an answer to WHEN_AND_WHOSE names; it has to come soon."""
    async with asyncio.timeout(5):
        [(_, whose)] = await task
    return str(whose)


async def gather_behind(look_ups: SharedFlushes, taken: Taken, *wanted: tuple[str, Bound[Any]]) -> list[Any]:
    """What each gets that waits behind a flush the lock holds up; exceptions as results."""
    first, _ = await held_up(look_ups, taken)
    others = await in_line(look_ups, *wanted)
    await taken.let_go()
    await first
    return await asyncio.gather(*others, return_exceptions=True)


async def test_one_alone_is_sent_at_once(look_ups: SharedFlushes) -> None:
    [(_, whose)] = await look_ups.rows(opening("a"), WHEN_AND_WHOSE)
    assert whose == "a"


@pytest.mark.usefixtures("patient")
async def test_those_behind_a_flush_go_together_and_each_reads_as_its_own_tenant(
    look_ups: SharedFlushes, taken: Taken
) -> None:
    tenants = ["a", "b", "b", "a", "c"]
    found = await gather_behind(look_ups, taken, *((tenant, WHEN_AND_WHOSE) for tenant in tenants))
    assert [whose for [(_, whose)] in found] == tenants
    assert len({when for [(when, _)] in found}) == 1


@pytest.mark.usefixtures("patient")
async def test_without_openings_of_their_own_they_would_read_as_somebody_else(
    look_ups: SharedFlushes, taken: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug: the first opening is taken for everybody's."""

    def joined(seats: Any) -> tuple[list[Bound[Any]], list[int]]:
        return [seats[0].opening, *(seat.wanted for seat in seats)], list(range(1, len(seats) + 1))

    monkeypatch.setattr(shared_flush, "_joined", joined)
    found = await gather_behind(look_ups, taken, ("a", WHEN_AND_WHOSE), ("b", WHEN_AND_WHOSE))
    assert [whose for [(_, whose)] in found] == ["a", "a"]


@pytest.mark.usefixtures("patient")
async def test_a_flush_is_bounded(look_ups: SharedFlushes, taken: Taken) -> None:
    found = await gather_behind(look_ups, taken, *(("a", WHEN_AND_WHOSE) for _ in range(20)))
    moments = [when for [(when, _)] in found]
    assert sorted(moments.count(one) for one in set(moments)) == [4, 8, 8]


async def test_a_flush_that_takes_long_does_not_keep_the_others(look_ups: SharedFlushes, taken: Taken) -> None:
    slow, _ = await held_up(look_ups, taken)
    async with asyncio.timeout(5):
        found = await asyncio.gather(*(look_ups.rows(opening("b"), WHEN_AND_WHOSE) for _ in range(12)))
    assert {whose for [(_, whose)] in found} == {"b"}
    assert not slow.done()
    await taken.let_go()
    await slow


@pytest.mark.usefixtures("patient")
async def test_a_statement_that_fails_fails_for_its_own_caller(look_ups: SharedFlushes, taken: Taken) -> None:
    wrong = Bound[Any]("SELECT 1 / %(none)s::int", {"none": 0})
    first, second, third = await gather_behind(
        look_ups, taken, ("a", WHEN_AND_WHOSE), ("b", wrong), ("c", WHEN_AND_WHOSE)
    )
    assert isinstance(second, pg.DivisionByZero)
    assert (first[0][1], third[0][1]) == ("a", "c")


@pytest.mark.usefixtures("patient")
async def test_who_sends_for_others_may_fail_without_them(look_ups: SharedFlushes, taken: Taken) -> None:
    wrong = Bound[Any]("SELECT 1 / %(none)s::int", {"none": 0})
    first, second = await gather_behind(look_ups, taken, ("a", wrong), ("b", WHEN_AND_WHOSE))
    assert isinstance(first, pg.DivisionByZero)
    assert second[0][1] == "b"


@pytest.mark.usefixtures("patient")
async def test_a_lost_connection_is_told_to_all_of_a_flush(look_ups: SharedFlushes, taken: Taken) -> None:
    """Each of them then asks another replica at once, instead of finding out one by one."""
    first, process = await held_up(look_ups, taken)
    others = await in_line(look_ups, *[("b", held_by(taken.number))] * 3)
    await taken.end(process)
    with pytest.raises(psycopg.OperationalError):
        await first
    [process] = await taken.until_waiting(1)
    await taken.end(process)
    async with asyncio.timeout(5):
        found = await asyncio.gather(*others, return_exceptions=True)
    assert [isinstance(one, psycopg.OperationalError) for one in found] == [True] * 3
    await taken.let_go()
    [(_, whose)] = await look_ups.rows(opening("c"), WHEN_AND_WHOSE)
    assert whose == "c"


@pytest.mark.usefixtures("patient")
async def test_who_sends_for_others_may_leave_without_them(look_ups: SharedFlushes, taken: Taken) -> None:
    first, process = await held_up(look_ups, taken)
    leading, following = await in_line(look_ups, ("b", held_by(taken.number)), ("c", WHEN_AND_WHOSE))
    await taken.end(process)
    with pytest.raises(psycopg.OperationalError):
        await first
    await taken.until_waiting(1)
    leading.cancel()
    assert await whose_of(following) == "c"
    with pytest.raises(asyncio.CancelledError):
        await leading


@pytest.mark.usefixtures("patient")
async def test_who_leaves_the_line_is_not_waited_for(look_ups: SharedFlushes, taken: Taken) -> None:
    first, _ = await held_up(look_ups, taken)
    leaving, staying = await in_line(look_ups, ("b", WHEN_AND_WHOSE), ("c", WHEN_AND_WHOSE))
    leaving.cancel()
    await taken.let_go()
    await first
    assert await whose_of(staying) == "c"
    assert leaving.cancelled()


@pytest.mark.usefixtures("patient")
async def test_who_leaves_in_the_instant_of_its_turn_hands_it_on(
    look_ups: SharedFlushes, taken: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The turn is given and the task cancelled before it runs again: nobody else would ever be told to send."""
    first, _ = await held_up(look_ups, taken)
    leaving, staying = await in_line(look_ups, ("b", WHEN_AND_WHOSE), ("c", WHEN_AND_WHOSE))
    give_turn = look_ups._next

    def give_turn_and_cancel() -> None:
        give_turn()
        leaving.cancel()

    monkeypatch.setattr(look_ups, "_next", give_turn_and_cancel)
    await taken.let_go()
    await first
    assert await whose_of(staying) == "c"
    assert leaving.cancelled()
    assert await whose_of(asyncio.create_task(look_ups.rows(opening("d"), WHEN_AND_WHOSE))) == "d"


@pytest.mark.usefixtures("patient")
async def test_without_a_connection_all_of_a_flush_are_refused_once(look_ups: SharedFlushes, pool: Pool) -> None:
    held = [await pool.acquire() for _ in range(4)]
    asked = [asyncio.create_task(look_ups.rows(opening("a"), WHEN_AND_WHOSE)) for _ in range(4)]
    async with asyncio.timeout(2):
        found = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one) for one in found] == [Overloaded] * 4
    for connection in held:
        await pool.release(connection)
