"""The shared socket: every caller gets its own answer or a failure in time, whatever the others do."""

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from db.counting import RoundTrips, round_trips
from db.redis import Script, connect
from db.redis_channel import Channel, Resting, observe_channels
from fleet.breaker import BreakerState, breakers, observe_channel
from fleet.exposition import render
from tests.tenancy.coordination.conftest import OwnRedis


@pytest.fixture
async def channel(redis: Redis) -> AsyncIterator[Channel]:
    channel = Channel(redis, timeout=0.2, rest=0.3)
    assert await channel.open()
    yield channel
    await channel.close()


async def test_cancelled_callers_never_shift_the_answers_of_others(channel: Channel) -> None:
    answered = 0

    async def ask(number: int) -> None:
        nonlocal answered
        assert await channel.execute_command("ECHO", number) == str(number).encode()
        answered += 1

    for burst in range(20):
        tasks = [asyncio.create_task(ask(burst * 100 + n)) for n in range(100)]
        await asyncio.sleep(random.choice([0, 0, 0.0002, 0.001]))
        for task in random.sample(tasks, 40):
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(outcome is None or isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    assert answered > 500


async def test_an_answer_after_its_time_out_is_nobodys(own_redis: OwnRedis, redis: Redis) -> None:
    channel = Channel(redis, timeout=0.2, rest=0)
    await channel.open()
    sleepy = channel.send("BLPOP", "nothing", 0.3)
    with pytest.raises(RedisTimeoutError):
        await sleepy
    assert await channel.execute_command("ECHO", "mine") == b"mine"
    await channel.close()


async def test_a_busy_event_loop_is_not_taken_for_a_silent_server(channel: Channel) -> None:
    reply = channel.send("ECHO", "late")
    await asyncio.sleep(0)
    time.sleep(0.3)  # noqa: ASYNC251 - what is tested is a loop that is blocked
    assert await reply == b"late"


async def test_an_error_reply_reaches_its_caller_only(channel: Channel) -> None:
    wrong, right = channel.send("NONSENSE"), channel.send("ECHO", "right")
    with pytest.raises(ResponseError):
        await wrong
    assert await right == b"right"


async def test_after_a_failure_calls_are_refused_at_once_and_one_probes(
    own_redis: OwnRedis, channel: Channel
) -> None:
    own_redis.freeze()
    with pytest.raises(RedisTimeoutError):
        await channel.execute_command("PING")
    started = time.monotonic()
    for _ in range(100):
        with pytest.raises(Resting):
            await channel.execute_command("PING")
    assert time.monotonic() - started < 0.1
    own_redis.thaw()
    await asyncio.sleep(0.35)
    outcomes = await asyncio.gather(*(channel.execute_command("PING") for _ in range(10)), return_exceptions=True)
    assert outcomes[0] == b"PONG"
    assert all(isinstance(outcome, Resting) for outcome in outcomes[1:])
    assert await channel.execute_command("PING") == b"PONG"


async def test_a_lost_connection_fails_what_was_sent_and_is_made_anew(channel: Channel, redis: Redis) -> None:
    blocked = channel.send("BLPOP", "nothing", 5)
    await asyncio.sleep(0.02)
    await redis.client_kill_filter(_type="normal", skipme=True)
    with pytest.raises(RedisConnectionError):
        await blocked
    assert await channel.execute_command("ECHO", "again") == b"again"


async def test_a_restarted_server_is_told_apart(own_redis: OwnRedis, channel: Channel) -> None:
    assert channel.same_server_for() == float("inf")
    own_redis.stop()
    with pytest.raises(RedisConnectionError):
        await channel.execute_command("PING")
    own_redis.start()
    await asyncio.sleep(0.35)
    assert await channel.execute_command("PING") == b"PONG"
    assert channel.same_server_for() < 5


async def test_a_wrong_password_is_a_failure_not_a_hang(own_redis: OwnRedis) -> None:
    client = connect(own_redis.url.replace("redis://:", "redis://:wrong"), timeout=0.2)
    channel = Channel(client)
    with pytest.raises(RedisConnectionError, match="WRONGPASS"):
        await channel.execute_command("PING")
    await channel.close()


async def test_the_channel_uses_the_database_of_its_url(channel: Channel, redis: Redis) -> None:
    await channel.execute_command("SET", "here", "1")
    assert await redis.get("here") == b"1"


async def test_closing_fails_what_is_unanswered(redis: Redis) -> None:
    channel = Channel(redis)
    connecting = channel.send("PING")
    await channel.close()
    with pytest.raises(RedisConnectionError):
        await connecting


async def test_awaited_calls_commands_and_pipelines_count_as_one_round_trip_each(
    channel: Channel, redis: Redis
) -> None:
    round_trips.set(counter := RoundTrips())
    await channel.execute_command("PING")
    channel.send("PING")
    await redis.get("nothing")
    pipeline = redis.pipeline(transaction=False)
    pipeline.get("a")
    pipeline.get("b")
    await pipeline.execute()
    round_trips.set(None)
    assert counter.redis == 3


async def test_a_full_pool_refuses_within_its_bound(own_redis: OwnRedis, redis: Redis) -> None:
    client = connect(own_redis.url, timeout=0.2, connections=1)
    taken = await client.connection_pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py
    started = time.monotonic()
    with pytest.raises(RedisConnectionError, match="No connection available"):
        await client.get("anything")
    assert 0.15 < time.monotonic() - started < 0.4
    await client.connection_pool.release(taken)
    assert await client.get("anything") is None
    await client.aclose()


async def test_a_client_is_refused_fast_and_not_repeated_when_redis_is_stopped(own_redis: OwnRedis) -> None:
    own_redis.stop()
    client = connect(own_redis.url, timeout=0.2)
    started = time.monotonic()
    with pytest.raises(RedisConnectionError):
        await client.get("anything")
    assert time.monotonic() - started < 0.2
    await client.aclose()


async def test_a_script_runs_on_a_plain_client_too(redis: Redis) -> None:
    double = Script("return ARGV[1] * 2")
    assert [await double(redis, [], 21) for _ in range(2)] == [42, 42]


def test_the_channel_runs_on_uvloop(own_redis: OwnRedis) -> None:
    """The API's event loop; the tests themselves run on asyncio's."""
    code = (
        "import sys, uvloop\n"
        "from db.redis import connect\n"
        "from db.redis_channel import Channel\n"
        "async def main():\n"
        "    channel = Channel(connect(sys.argv[1], timeout=1.0))\n"
        "    print(await channel.execute_command('ECHO', 'uvloop'))\n"
        "    await channel.close()\n"
        "uvloop.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, own_redis.url], capture_output=True, text=True, check=True)
    assert done.stdout == "b'uvloop'\n"
    assert done.stderr == ""


async def test_its_breaker_says_when_it_opens_whom_it_refuses_and_when_it_closes(
    own_redis: OwnRedis, redis: Redis
) -> None:
    name = f"breaker-{random.random()}"
    observe_channels(observe_channel)
    channel = Channel(redis, timeout=0.2, rest=0.05, name=name)
    assert await channel.open()
    own_redis.freeze()
    with pytest.raises(RedisTimeoutError):
        await channel.execute_command("PING")
    with pytest.raises(Resting):
        await channel.execute_command("PING")
    shown = render().decode()
    assert f'circuit_breaker_open{{dependency="{name}"}} 1.0' in shown
    assert f'circuit_breaker_calls_total{{dependency="{name}",outcome="refused"}} 1.0' in shown
    own_redis.thaw()
    async with asyncio.timeout(10):
        while f'circuit_breaker_open{{dependency="{name}"}} 0.0' not in render().decode():
            await asyncio.gather(channel.execute_command("PING"), return_exceptions=True)
    await channel.close()


async def test_it_tells_how_long_it_rests_and_when_the_next_call_decides(own_redis: OwnRedis, redis: Redis) -> None:
    name = f"breaker-{random.random()}"

    def told() -> BreakerState:
        [found] = [one for one in breakers() if one.name == name]
        return found

    observe_channels(observe_channel)
    channel = Channel(redis, timeout=0.2, rest=0.3, name=name)
    assert await channel.open()
    assert (told().state, told().retry_in) == ("closed", 0.0)
    own_redis.freeze()
    with pytest.raises(RedisTimeoutError):
        await channel.execute_command("PING")
    first = told()
    assert first.state == "open"
    assert 0.0 < first.retry_in <= 0.3
    await asyncio.sleep(first.retry_in + 0.01)
    assert (told().state, told().retry_in) == ("half_open", 0.0)
    probe = channel.send("PING")
    assert told().state == "half_open"
    with pytest.raises(Resting):
        await channel.execute_command("PING")
    with pytest.raises(RedisTimeoutError):
        await probe
    assert told().state == "open"
    own_redis.thaw()
    async with asyncio.timeout(10):
        while told().state != "closed":
            await asyncio.gather(channel.execute_command("PING"), return_exceptions=True)
    await channel.close()
