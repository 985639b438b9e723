"""The operator's transactions end with the request they belong to, not half a minute later."""

import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from db.errors import OutcomeUnknown, StatementTimeout
from db.pool import Pool
from db.statement import Bound
from fleet.deadline import Deadline, DeadlineExceeded
from tenancy.platform import PlatformDatabase, PlatformSession
from tests.services import Services

_SLEEP: Bound[Any] = Bound("SELECT pg_sleep(10)", {})
_ONE: Bound[Any] = Bound("SELECT 1", {})


@pytest.fixture
async def platform(services: Services) -> AsyncIterator[PlatformDatabase]:
    pool = Pool(services.platform_url, name="platform", size=1, prepared=services.prepared_statements)
    await pool.open()
    yield PlatformDatabase(pool)
    await pool.close()


async def test_it_waits_no_longer_than_the_request(platform: PlatformDatabase) -> None:
    begun = time.monotonic()
    with Deadline(0.4), pytest.raises(StatementTimeout):
        await platform.ask(_SLEEP)

    async def slow(session: PlatformSession) -> None:
        await session.load(_SLEEP)

    with Deadline(0.4), pytest.raises(StatementTimeout):
        await platform.run(slow)
    assert time.monotonic() - begun < 5
    # The only connection is whole again.
    assert await platform.ask(_ONE) == ([(1,)],)


async def test_what_may_have_been_committed_is_said_to_be_unknown(platform: PlatformDatabase) -> None:
    write: Bound[Any] = Bound(
        "INSERT INTO leases (name, holder, term, expires_at)"
        " SELECT %(name)s, 'test', 1, now() FROM pg_sleep(10)",
        {"name": f"deadline-{uuid.uuid4().hex}"},
    )  # fmt: skip
    with Deadline(0.4), pytest.raises(OutcomeUnknown):
        await platform.ask(write)


async def test_nothing_is_begun_when_no_time_is_left(platform: PlatformDatabase) -> None:
    with Deadline(0), pytest.raises(DeadlineExceeded):
        await platform.ask(_ONE)
