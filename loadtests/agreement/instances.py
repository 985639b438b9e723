"""A question to another instance and its answer, beside the same over bare publish and subscribe."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from redis.asyncio import Redis

from db.redis import connect
from deploy.local.processes import Program, start
from fleet.instances.bus import Bus
from fleet.instances.ears import Ears
from fleet.instances.instance import PING
from fleet.instances.registry import Registry
from loadtests.agreement.bare_echo import ANSWERED, ASKED
from loadtests.agreement.bench import Bench, environment_of
from loadtests.agreement.figures import Figure, timed, times_bare

_TIMES = 1_000
_PATIENCE = 10.0
ROOT = Path(__file__).parents[2]


async def request_response(bench: Bench) -> list[Figure]:
    """One question after the other, to an instance of the API that has nothing else to do."""
    client = connect(bench.fleet.plan.endpoints.redis_sessions_url, timeout=2.0)
    try:
        [asked, *_] = (await Registry(client, heartbeat=5.0, dead_after=20.0).roll()).of_role("api")
        async with _bus(bench, client) as bus:
            ours = await timed(lambda number: bus.ask(asked.id, PING, timeout=5.0), _TIMES)
        with _echo(bench):
            async with _bare(client) as ask:
                bare = await timed(ask.there_and_back, _TIMES)
    finally:
        await client.aclose()
    return [times_bare("instance request-response", ours, bare)]


@asynccontextmanager
async def _bus(bench: Bench, client: Redis) -> AsyncIterator[Bus]:
    """An instance's messages without the instance: it is in no registry, but hears what is said to it."""
    bus = Bus("bench:request-response", "bench", client)
    hearing = connect(bench.fleet.plan.endpoints.redis_sessions_url, timeout=5.0)
    ears = Ears(hearing, bus.channels, bus.receive)
    await ears.start()
    try:
        async with asyncio.timeout(_PATIENCE):
            await ears.listening.wait()
        yield bus
    finally:
        await ears.close()
        await bus.close()


class _Bare:
    """The smallest question: a message to the one who echoes, and the next message from there."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._ear = client.pubsub(ignore_subscribe_messages=True)

    async def begin(self) -> None:
        """Return once there is somebody who echoes."""
        await self._ear.subscribe(ANSWERED)
        await self._ear.get_message(timeout=1.0)
        async with asyncio.timeout(_PATIENCE):
            while not await self._client.publish(ASKED, "0"):  # noqa: ASYNC110  # another process is starting
                await asyncio.sleep(0.02)
            await self._heard()

    async def there_and_back(self, number: int) -> None:
        await self._client.publish(ASKED, str(number))
        await self._heard()

    async def _heard(self) -> None:
        while await self._ear.get_message(timeout=5.0) is None:
            pass

    async def close(self) -> None:
        await self._ear.aclose()  # type: ignore[no-untyped-call]


@asynccontextmanager
async def _bare(client: Redis) -> AsyncIterator[_Bare]:
    bare = _Bare(client)
    try:
        await bare.begin()
        yield bare
    finally:
        await bare.close()


@contextmanager
def _echo(bench: Bench) -> Iterator[None]:
    command = (sys.executable, "-m", "loadtests.agreement.bare_echo")
    log = bench.fleet.plan.layout.log("bench-echo")
    environment = {**os.environ, **environment_of(bench.fleet, "bench-echo", "tool")}
    running = start(Program("bench-echo", command, log, ROOT, environment))
    try:
        yield
    finally:
        running.stop()
