"""A commit waits for one of two standbys: losing one is not felt, losing both stops writing."""

import threading
from collections.abc import Iterator

import psycopg
import pytest

from tests.services import Services, running_services


@pytest.fixture(scope="module")
def own_services() -> Iterator[Services]:
    """Servers of this module's own, since their standbys are stopped."""
    with running_services() as services:
        with psycopg.connect(services.superuser_url, autocommit=True) as session:
            session.execute("CREATE TABLE written (id int)")
        yield services


def test_one_lost_standby_is_not_felt(own_services: Services) -> None:
    own_services.processes["replica1"].kill()
    try:
        with psycopg.connect(own_services.superuser_url, autocommit=True) as session:
            session.execute("SET statement_timeout = '5s'")
            session.execute("INSERT INTO written VALUES (1)")
    finally:
        own_services.processes.restart("replica1")


def test_commit_waits_while_both_standbys_are_gone(own_services: Services) -> None:
    for name in ("replica1", "replica2"):
        own_services.processes[name].kill()
    committed = threading.Event()

    def write() -> None:
        with psycopg.connect(own_services.superuser_url, autocommit=True) as session:
            session.execute("INSERT INTO written VALUES (2)")
        committed.set()

    writer = threading.Thread(target=write)
    writer.start()
    assert not committed.wait(0.5)
    own_services.processes.restart("replica2")
    assert committed.wait(20)
    writer.join()
    own_services.processes.restart("replica1")
