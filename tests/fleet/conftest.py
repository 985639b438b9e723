"""One local fleet for all tests of this folder that need one."""

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet.local_fleet import LocalFleet, free_base


@pytest.fixture(scope="package")
def state() -> Iterator[LocalFleet]:
    """A state directory, and what runs from it at the end is ended."""
    root = Path(tempfile.mkdtemp(prefix="erp-fleet-"))
    root.chmod(0o711)
    fleet = LocalFleet(root, free_base(), secrets.token_hex(16))
    try:
        yield fleet
    finally:
        fleet.erp("reset", "--yes", check=False)
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def fleet(state: LocalFleet) -> LocalFleet:
    """The fleet, up: started by the first test and again after a test that stopped it."""
    state.up()
    return state
