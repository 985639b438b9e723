"""What a server process does about cyclic garbage: leaves the program alone, still collects what requests leave."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from fleet.garbage import settle_garbage_collector


@pytest.fixture
def settled() -> Iterator[None]:
    threshold = gc.get_threshold()
    settle_garbage_collector()
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()


class Node:
    def __init__(self) -> None:
        self.itself = self


def test_the_program_is_not_looked_at_again(settled: None) -> None:
    assert gc.get_freeze_count() > 1_000
    assert gc.isenabled()


def test_a_cycle_is_still_collected_without_being_asked_for(settled: None) -> None:
    left = weakref.ref(Node())
    kept: list[list[None]] = [[] for _ in range(gc.get_threshold()[0] + 1)]
    assert left() is None
    assert kept
