"""Fixtures every test may use. The servers start once per run, on first use."""

from collections.abc import Iterator

import pytest

from db.migrations import migrate
from tests.services import Services, running_services


@pytest.fixture(scope="session")
def bare_services() -> Iterator[Services]:
    """PostgreSQL with two standbys, PgBouncer and two Redis servers, without a schema."""
    with running_services() as services:
        yield services


@pytest.fixture(scope="session")
def services(bare_services: Services) -> Services:
    """The servers with the schema migrated."""
    migrate(bare_services.owner_url)
    return bare_services
