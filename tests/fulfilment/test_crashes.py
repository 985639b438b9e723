"""A runner that ends at every edge and goes no step further: before and after every commit, before and after every
call, forward and back. All inside one process; `test_workers.py` and the fault suite kill real workers."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tenancy.work import UnitOfWork
from tests.fulfilment.conftest import GROSS, Died, Shopfront


class Killer:
    """Dies at the nth commit, before or after it; or at a named edge round an outside call."""

    def __init__(self, shopfront: Shopfront, *, commit: int = 0, before: bool = False, edge: str = "") -> None:
        self._shopfront, self._commit, self._before, self._edge = shopfront, commit, before, edge
        self.commits = 0
        self.edges: list[str] = []

    async def transact(self, command: Callable[[UnitOfWork], Awaitable[Any]]) -> Any:
        self.commits += 1
        dies = self.commits == self._commit

        async def dying(work: UnitOfWork) -> Any:
            value = await command(work)
            if dies and self._before:
                await work.load()  # everything has reached the server, nothing is committed
                raise Died
            return value

        value = await self._shopfront.transact(dying)
        if dies:
            raise Died
        return value

    def edge(self, name: str) -> None:
        self.edges.append(name)
        if name == self._edge:
            raise Died


async def survive(shopfront: Shopfront, saga: str, killer: Killer) -> bool:
    """Whether the killer struck; either way the saga has ended by then."""
    struck = False
    try:
        await shopfront.run(saga, killer.edge, killer.transact)
    except Died:
        struck = True
    await shopfront.until_ended(saga)
    return struck


FORWARD_EDGES = [
    "reserve:before", "reserve:after", "authorise:intended", "authorise:asking", "authorise:answered",
    "authorise:recorded", "capture:intended", "capture:asking", "capture:answered", "capture:recorded",
    "deliver:before", "deliver:after", "invoice:before", "invoice:after",
]  # fmt: skip
BACK_EDGES = [
    "undo-capture:intended", "undo-capture:asking", "undo-capture:answered", "undo-capture:recorded",
    "undo-authorise:intended", "undo-authorise:asking", "undo-authorise:answered", "undo-authorise:recorded",
    "undo-reserve:before", "undo-reserve:after",
]  # fmt: skip


#: They come before the others where goods had left.
DELIVERED_BACK_EDGES = ["undo-deliver:before", "undo-deliver:after"]


async def test_no_edge_of_a_completed_saga_is_left_out(shopfront: Shopfront) -> None:
    saga, killer = await shopfront.begin(), Killer(shopfront)
    await shopfront.run(saga, killer.edge, killer.transact)
    assert killer.edges == FORWARD_EDGES


async def test_dying_round_every_call_changes_nothing_in_the_end(shopfront: Shopfront) -> None:
    for edge in FORWARD_EDGES:
        saga = await shopfront.begin()
        assert await survive(shopfront, saga, Killer(shopfront, edge=edge)), edge
        await completed_once(shopfront, saga, edge)
    await shopfront.agrees()


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
async def test_dying_at_every_commit_changes_nothing_in_the_end(shopfront: Shopfront, before: bool) -> None:
    commit, reached = 0, True
    while reached:
        commit += 1
        saga, killer = await shopfront.begin(), Killer(shopfront, commit=commit, before=before)
        await survive(shopfront, saga, killer)
        reached = killer.commits >= commit
        await completed_once(shopfront, saga, f"commit {commit}")
    assert commit >= 9  # the claim, a commit a local step, two an outside one, the end; the last one did not die
    await shopfront.agrees()


async def completed_once(shopfront: Shopfront, saga: str, where: str) -> None:
    assert (await shopfront.view(saga))["state"] == "completed", where
    asked = shopfront.asked(saga)
    assert [(name, accepted) for name, accepted, _ in asked] == [("authorise", True), ("capture", True)], where
    assert shopfront.kept(saga) == GROSS, where
    assert await shopfront.documents(saga) == {"deliveries": 1, "returns": 0, "invoices": 1}, where


async def delivered(shopfront: Shopfront) -> str:
    """Paid for and delivered; its invoice comes next."""
    saga = await shopfront.begin()
    with pytest.raises(Died):
        await shopfront.run(saga, Killer(shopfront, edge="deliver:after").edge)
    return saga


async def doomed(shopfront: Shopfront) -> str:
    """Paid for, but its delivery will be refused for good: the order's goods are cancelled before."""
    saga = await shopfront.begin()
    with pytest.raises(Died):
        await shopfront.run(saga, Killer(shopfront, edge="capture:recorded").edge)
    order_id = (await shopfront.view(saga))["order_id"]
    await shopfront.tenant.post(f"/v1/sales-orders/{order_id}/cancel", {"reason": "changed mind"})
    return saga


async def test_dying_anywhere_on_the_way_back_changes_nothing_in_the_end(shopfront: Shopfront) -> None:
    for edge in BACK_EDGES:
        saga = await doomed(shopfront)
        assert await survive(shopfront, saga, Killer(shopfront, edge=edge)), edge
        await taken_back_once(shopfront, saga, edge)
    await shopfront.agrees()


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
async def test_dying_at_every_commit_on_the_way_back(shopfront: Shopfront, before: bool) -> None:
    commit, reached = 0, True
    while reached:  # the second one is none: the delivery is refused in it
        commit += 1
        saga, killer = await doomed(shopfront), Killer(shopfront, commit=commit, before=before)
        await survive(shopfront, saga, killer)
        reached = killer.commits >= commit
        await taken_back_once(shopfront, saga, f"commit {commit}")
    assert commit >= 8
    await shopfront.agrees()


async def taken_back_once(shopfront: Shopfront, saga: str, where: str) -> None:
    assert (await shopfront.view(saga))["state"] == "compensated", where
    assert [name for name, accepted, _ in shopfront.asked(saga) if accepted] == [
        "authorise", "capture", "refund", "void",
    ], where  # fmt: skip
    assert shopfront.kept(saga) == 0, where
    assert await shopfront.documents(saga) == {"deliveries": 0, "returns": 0, "invoices": 0}, where
