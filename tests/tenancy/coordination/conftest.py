"""A Redis server of these tests' own: they stop, freeze and flush it, and the others keep theirs."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from db.redis import connect
from deploy.local.accounts import service_account
from deploy.local.binaries import find_redis
from deploy.local.credentials import draw
from deploy.local.ports import free_port
from deploy.local.processes import Running, await_ready, start
from deploy.local.redis import LOCKS, RedisServer
from tests.services import PREFIX


class OwnRedis:
    """A durable Redis, as `core` is in a fleet, with the faults a test may cause."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.url = server.url(LOCKS)
        self._running: Running

    def start(self) -> None:
        self._running = start(self.server.program())
        await_ready(self._running, self.server.accepts, 20.0)

    def stop(self) -> None:
        self._running.stop()

    def kill(self) -> None:
        """kill -9: it says no farewell and saves nothing."""
        self._running.kill()

    def freeze(self) -> None:
        os.kill(self._running.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._running.pid, signal.SIGCONT)

    def recover(self) -> None:
        """Whatever a test did to it: running again."""
        if self._running.alive:
            self.thaw()
        else:
            self.start()


def own_server(root: Path, name: str) -> OwnRedis:
    """A server in its own folder below `root`, configured and not started."""
    folder, account = root / name, service_account()
    folder.mkdir(mode=0o700)
    if account is not None:
        account.owns(folder)
    server = RedisServer(
        name=name,
        folder=folder,
        port=free_port(),
        log=root / f"{name}.log",
        binary=find_redis(account, root),
        account=account,
        password=draw().redis,
        durable=True,
    )
    server.configure()
    return OwnRedis(server)


@pytest.fixture(scope="session")
def redis_of_our_own() -> Iterator[OwnRedis]:
    root = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    root.chmod(0o711)
    own = own_server(root, "redis-own")
    own.start()
    yield own
    own.recover()
    own.stop()
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def own_redis(redis_of_our_own: OwnRedis) -> Iterator[OwnRedis]:
    """The server, healthy again after the test."""
    yield redis_of_our_own
    redis_of_our_own.recover()


@pytest.fixture
async def redis(own_redis: OwnRedis) -> AsyncIterator[Redis]:
    """A client for locks (500 ms) on the emptied server."""
    client = connect(own_redis.url, timeout=0.5)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
def tenant() -> uuid.UUID:
    return uuid.uuid4()


class Rival:
    """Another operating-system process running one scenario of `rival.py`, line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def begin(cls, *words: object) -> "Rival":
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.tenancy.coordination.rival", *map(str, words),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        return cls(process)

    async def says(self) -> str:
        """Its next line; fails when it ended instead."""
        assert self._process.stdout is not None
        line = (await self._process.stdout.readline()).decode().strip()
        assert line, f"the process ended with {await self._process.wait()}"
        return line

    def tell(self, line: str = "go") -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def end(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


class Rivals:
    """Starts rivals and sees to their end."""

    def __init__(self) -> None:
        self._begun: list[Rival] = []

    async def __call__(self, *words: object) -> Rival:
        self._begun.append(await Rival.begin(*words))
        return self._begun[-1]

    async def end(self) -> None:
        for rival in self._begun:
            await rival.end()


@pytest.fixture
async def rivals() -> AsyncIterator[Rivals]:
    begun = Rivals()
    yield begun
    await begun.end()
