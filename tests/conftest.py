"""Fixtures every test may use. The servers start once per run, on first use."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings

from db.migrations import migrate
from db.registry import register
from tests.forked import Nursery
from tests.forked import nursery as running_nursery
from tests.services import Services, running_services
from workers.statements import texts

#: The servers, once somebody needed them.
_RUNNING = pytest.StashKey[Services]()
#: What fails here fails everywhere and again; how fast this machine is at the moment decides nothing.
settings.register_profile(
    "repeatable", derandomize=True, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")


#: Folders that come first, in this order. Whole fleets: nothing takes longer, and at the end of the run one of two
#: processes would wait for them. Then what works for every tenant there is, because there are few as yet.
FIRST = (
    "fleet", "architecture", "unit", "fleet_unit", "eventstore", "workers", "fulfilment", "two_phase", "instances",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        return FIRST.index(folder) if folder in FIRST else len(FIRST)

    items.sort(key=place)


@pytest.fixture(scope="session")
def bare_services(request: pytest.FixtureRequest) -> Iterator[Services]:
    """PostgreSQL with two standbys, PgBouncer and two Redis servers, without a schema."""
    with running_services() as services:
        request.config.stash[_RUNNING] = services
        yield services


@pytest.fixture(autouse=True)
def standing(request: pytest.FixtureRequest) -> Iterator[None]:
    """A server that ends fails the test in which it did, with its last words, and none of those that follow."""
    yield
    if _RUNNING in request.config.stash and (fallen := request.config.stash[_RUNNING].processes.raise_fallen()):
        pytest.fail("\n".join(fallen))


@pytest.fixture(scope="session")
def services(bare_services: Services) -> Services:
    """The servers with the schema migrated and, where the pooler prepares statements, those listed."""
    for owner_url in (bare_services.owner_url, bare_services.second_owner_url):
        migrate(owner_url)
        if bare_services.prepared_statements == "pooler":
            register(owner_url, texts())
    if bare_services.prepared_statements == "pooler":
        with psycopg.connect(bare_services.superuser_url, autocommit=True) as connection:
            # The pooler's first server connections are older than the list.
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'erp_app'")
    return bare_services


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Where workers and coordinators come from without importing everything anew each time."""
    with running_nursery(tmp_path_factory.mktemp("nursery")) as found:
        yield found
