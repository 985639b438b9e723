"""One local fleet for all tests of this folder that need one."""

from collections.abc import Iterator

import pytest

from tests.fleet.local_fleet import WITHOUT_LIMITS, LocalFleet, local_fleet


@pytest.fixture(scope="package")
def state() -> Iterator[LocalFleet]:
    with local_fleet(WITHOUT_LIMITS) as fleet:
        yield fleet


@pytest.fixture
def fleet(state: LocalFleet) -> LocalFleet:
    """The fleet, up: started by the first test and again after a test that stopped it."""
    state.up()
    return state
