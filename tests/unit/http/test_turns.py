"""The bound on requests at once: nobody waits for ever, and writes come before reads."""

import asyncio
from uuid import UUID, uuid4

import pytest

from db.errors import Overloaded
from erp.http.errors import RateLimited
from erp.http.ranks import Rank, rank_of
from erp.http.rooms import Rooms
from erp.http.turns import Place, Turns

WRITE, READ, REPORT, BACKGROUND = Rank


async def waiting(turns: Turns, number: int) -> None:
    """Until so many stand in line."""
    async with asyncio.timeout(2):
        while turns.waiting != number:  # noqa: ASYNC110  # the line tells nobody who joins it
            await asyncio.sleep(0)


async def test_up_to_the_bound_nobody_waits() -> None:
    turns = Turns(2, queue=0)
    await turns.enter(READ)
    await turns.enter(WRITE)
    with pytest.raises(Overloaded):
        await turns.enter(WRITE)
    turns.leave(WRITE)
    await turns.enter(READ)


async def test_whoever_waits_too_long_is_told_to_come_back() -> None:
    turns = Turns(1, queue=5, wait=0.02)
    await turns.enter(WRITE)
    with pytest.raises(Overloaded) as refused:
        await turns.enter(WRITE)
    assert (refused.value.status, refused.value.retry_after) == (503, 1)
    assert turns.waiting == 0


async def test_the_most_urgent_in_line_go_first() -> None:
    turns, order = Turns(1, queue=9), []

    async def pass_through(name: str, rank: Rank) -> None:
        await turns.enter(rank)
        order.append(name)
        turns.leave(rank)

    await turns.enter(READ)
    async with asyncio.TaskGroup() as tasks:
        for name, rank in (
            ("b", BACKGROUND),
            ("p", REPORT),
            ("r1", READ),
            ("r2", READ),
            ("w1", WRITE),
            ("w2", WRITE),
        ):
            tasks.create_task(pass_through(name, Rank(rank)))
            await asyncio.sleep(0)
        await waiting(turns, 6)
        turns.leave(READ)
    assert order == ["w1", "w2", "r1", "r2", "p", "b"]


async def test_a_write_takes_the_last_reads_place_in_a_full_line() -> None:
    turns = Turns(1, queue=2)
    await turns.enter(WRITE)
    reads = [asyncio.create_task(turns.enter(READ)) for _ in range(2)]
    await waiting(turns, 2)
    write = asyncio.create_task(turns.enter(WRITE))
    with pytest.raises(Overloaded):
        await reads[1]
    with pytest.raises(Overloaded):
        await turns.enter(READ)
    turns.leave(WRITE)
    await write
    turns.leave(WRITE)
    await reads[0]


async def test_someone_who_gives_up_does_not_keep_the_place() -> None:
    turns = Turns(1, queue=5)
    await turns.enter(WRITE)
    first = asyncio.create_task(turns.enter(WRITE))
    second = asyncio.create_task(turns.enter(WRITE))
    await waiting(turns, 2)
    first.cancel()
    turns.leave(WRITE)
    await second
    turns.leave(WRITE)
    await turns.enter(READ)


async def test_a_turn_given_in_the_instant_of_giving_up_is_passed_on() -> None:
    turns = Turns(1, queue=5)
    await turns.enter(WRITE)
    late = asyncio.create_task(turns.enter(WRITE))
    await waiting(turns, 1)
    turns.leave(WRITE)  # the turn is given ...
    late.cancel()  # ... and its taker leaves before noticing
    with pytest.raises(asyncio.CancelledError):
        await late
    async with asyncio.timeout(1):
        await turns.enter(WRITE)


async def test_no_place_is_ever_lost_or_doubled() -> None:
    turns, inside, most = Turns(3, queue=100, wait=0.005), 0, 0

    async def visit(number: int) -> None:
        nonlocal inside, most
        try:
            await turns.enter(Rank(number % 4))
        except Overloaded:
            return
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.001 * (number % 5))
        inside -= 1
        turns.leave(Rank(number % 4))

    await asyncio.gather(*(visit(number) for number in range(200)))
    assert (inside, turns.waiting) == (0, 0)
    assert most <= 3
    for _ in range(3):
        await turns.enter(READ)


async def test_the_least_urgent_is_refused_first_and_says_so() -> None:
    turns = Turns(1, queue=3)
    await turns.enter(WRITE)
    lines = {rank: asyncio.create_task(turns.enter(rank)) for rank in (READ, REPORT, BACKGROUND)}
    await waiting(turns, 3)
    writes = []
    for rank in (BACKGROUND, REPORT, READ):
        writes.append(asyncio.create_task(turns.enter(WRITE)))
        with pytest.raises(Overloaded):
            await lines[rank]
        assert sum(line.done() for line in lines.values()) == len(writes)
    with pytest.raises(Overloaded):  # nothing but writes is left to take a place from
        await turns.enter(WRITE)
    for write in writes:
        write.cancel()


async def test_reports_and_streams_leave_room_for_the_others() -> None:
    turns = Turns(8, queue=0)
    for rank, places in ((BACKGROUND, 2), (REPORT, 4)):
        for _ in range(places):
            await turns.enter(rank)
        with pytest.raises(Overloaded):
            await turns.enter(rank)
    await turns.enter(READ)
    await turns.enter(WRITE)
    with pytest.raises(Overloaded):
        await turns.enter(WRITE)


async def test_a_stream_waits_for_a_stream_while_others_pass() -> None:
    turns = Turns(4, queue=5)
    await turns.enter(BACKGROUND)
    second = asyncio.create_task(turns.enter(BACKGROUND))
    await waiting(turns, 1)
    await turns.enter(READ)
    turns.leave(READ)
    assert not second.done()
    turns.leave(BACKGROUND)
    await second


@pytest.mark.parametrize(
    ("method", "path", "rank"),
    [
        ("POST", "/v1/sales-orders", WRITE), ("PATCH", "/v1/parties/1", WRITE), ("POST", "/v1/batch", WRITE),
        ("GET", "/v1/sales-orders", READ), ("GET", "/v1/reportsomething", READ), ("GET", "/", READ),
        ("GET", "/v1/trial-balance", REPORT), ("GET", "/v1/stock-valuation/total", REPORT),
        ("GET", "/v1/proof", REPORT),
        ("POST", "/v1/bulk/products", BACKGROUND), ("POST", "/v1/imports/parties", BACKGROUND),
    ],
)  # fmt: skip
def test_method_and_path_tell_the_rank(method: str, path: str, rank: Rank) -> None:
    assert rank_of(method, path) is rank


# -- one tenant among others -----------------------------------------------------------------------


async def test_a_tenant_over_its_bound_waits_without_a_place_of_the_instance() -> None:
    turns, rooms, tenant = Turns(2, queue=0), Rooms(1), uuid4()
    first, second = Place(turns, WRITE), Place(turns, WRITE)
    for place in (first, second):
        await place.take()
    await rooms.enter(tenant, first)
    late = asyncio.create_task(rooms.enter(tenant, second))
    await asyncio.sleep(0)
    assert not second.held
    other = Place(turns, WRITE)
    await other.take()  # with no line at all: there was a free place
    await rooms.enter(uuid4(), other)
    other.give_back()
    rooms.leave(tenant)
    await late
    assert second.held


async def test_a_full_line_of_a_tenant_refuses_that_tenant_only() -> None:
    turns, rooms, tenant = Turns(9, queue=0), Rooms(1, wait=0.02), uuid4()

    async def enter(tenant_id: UUID) -> None:
        place = Place(turns, READ)
        await place.take()
        await rooms.enter(tenant_id, place)

    await enter(tenant)
    line = asyncio.create_task(enter(tenant))
    await asyncio.sleep(0)
    with pytest.raises(RateLimited) as refused:
        await enter(tenant)
    assert (refused.value.status, refused.value.facts["limit_name"]) == (429, "concurrency")
    await enter(uuid4())
    with pytest.raises(RateLimited):  # the line waits for so long and no longer
        await line
    rooms.leave(tenant)
    await enter(tenant)


async def test_no_room_is_left_behind() -> None:
    turns, rooms, tenants = Turns(5, queue=100, wait=0.01), Rooms(2, wait=0.005), [uuid4() for _ in range(3)]
    inside = dict.fromkeys(tenants, 0)

    async def visit(number: int) -> None:
        tenant, place = tenants[number % 3], Place(turns, Rank(number % 4))
        try:
            await place.take()
            await rooms.enter(tenant, place)
        except (Overloaded, RateLimited):
            place.give_back()
            return
        inside[tenant] += 1
        assert inside[tenant] <= 2
        await asyncio.sleep(0.001 * (number % 5))
        inside[tenant] -= 1
        rooms.leave(tenant)
        place.give_back()

    visits = [asyncio.create_task(visit(number)) for number in range(300)]
    await asyncio.sleep(0.003)
    for task in visits[::7]:
        task.cancel()
    await asyncio.gather(*visits, return_exceptions=True)
    assert (rooms._inside, rooms._lines) == ({}, {})
    assert turns.waiting == 0
