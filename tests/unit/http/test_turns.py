"""The bound on requests at once: nobody waits for ever, and writes come before reads."""

import asyncio

import pytest

from db.errors import Overloaded
from erp.http.turns import Turns


async def waiting(turns: Turns, number: int) -> None:
    """Until so many stand in line."""
    async with asyncio.timeout(2):
        while turns.waiting != number:  # noqa: ASYNC110  # the line tells nobody who joins it
            await asyncio.sleep(0)


async def test_up_to_the_bound_nobody_waits() -> None:
    turns = Turns(2, queue=0)
    await turns.enter(writing=False)
    await turns.enter(writing=True)
    with pytest.raises(Overloaded):
        await turns.enter(writing=True)
    turns.leave()
    await turns.enter(writing=False)


async def test_whoever_waits_too_long_is_told_to_come_back() -> None:
    turns = Turns(1, queue=5, wait=0.02)
    await turns.enter(writing=True)
    with pytest.raises(Overloaded) as refused:
        await turns.enter(writing=True)
    assert (refused.value.status, refused.value.retry_after) == (503, 1)
    assert turns.waiting == 0


async def test_waiting_writes_go_before_waiting_reads() -> None:
    turns, order = Turns(1, queue=9), []

    async def pass_through(name: str, *, writing: bool) -> None:
        await turns.enter(writing=writing)
        order.append(name)
        turns.leave()

    await turns.enter(writing=False)
    async with asyncio.TaskGroup() as tasks:
        for name, writing in (("r1", False), ("r2", False), ("w1", True), ("w2", True)):
            tasks.create_task(pass_through(name, writing=writing))
            await asyncio.sleep(0)
        await waiting(turns, 4)
        turns.leave()
    assert order == ["w1", "w2", "r1", "r2"]


async def test_a_write_takes_the_last_reads_place_in_a_full_line() -> None:
    turns = Turns(1, queue=2)
    await turns.enter(writing=True)
    reads = [asyncio.create_task(turns.enter(writing=False)) for _ in range(2)]
    await waiting(turns, 2)
    write = asyncio.create_task(turns.enter(writing=True))
    with pytest.raises(Overloaded):
        await reads[1]
    with pytest.raises(Overloaded):
        await turns.enter(writing=False)
    turns.leave()
    await write
    turns.leave()
    await reads[0]


async def test_someone_who_gives_up_does_not_keep_the_place() -> None:
    turns = Turns(1, queue=5)
    await turns.enter(writing=True)
    first = asyncio.create_task(turns.enter(writing=True))
    second = asyncio.create_task(turns.enter(writing=True))
    await waiting(turns, 2)
    first.cancel()
    turns.leave()
    await second
    turns.leave()
    await turns.enter(writing=False)


async def test_a_turn_given_in_the_instant_of_giving_up_is_passed_on() -> None:
    turns = Turns(1, queue=5)
    await turns.enter(writing=True)
    late = asyncio.create_task(turns.enter(writing=True))
    await waiting(turns, 1)
    turns.leave()  # the turn is given ...
    late.cancel()  # ... and its taker leaves before noticing
    with pytest.raises(asyncio.CancelledError):
        await late
    async with asyncio.timeout(1):
        await turns.enter(writing=True)


async def test_no_place_is_ever_lost_or_doubled() -> None:
    turns, inside, most = Turns(3, queue=100, wait=0.005), 0, 0

    async def visit(number: int) -> None:
        nonlocal inside, most
        try:
            await turns.enter(writing=number % 2 == 0)
        except Overloaded:
            return
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.001 * (number % 5))
        inside -= 1
        turns.leave()

    await asyncio.gather(*(visit(number) for number in range(200)))
    assert (inside, turns.waiting) == (0, 0)
    assert most <= 3
    for _ in range(3):
        await turns.enter(writing=False)
