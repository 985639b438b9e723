"""Redis connections with bounds on everything, and Lua scripts that survive a flushed script cache."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any, Protocol

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError

from db.counting import count_redis

#: Gets the reply, or None and the error.
Settled = Callable[[Any, BaseException | None], None]
#: Seconds to establish a connection; a host that takes longer counts as away.
CONNECT_TIMEOUT = 1.0


class CountedPipeline(Pipeline):
    """A pipeline is one round trip, however many commands it carries."""

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        count_redis()
        return await super().execute(raise_on_error)

    async def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        count_redis()
        return await super().immediate_execute_command(*args, **options)  # type: ignore[no-untyped-call]  # redis-py


class CountedRedis(Redis):
    """A client whose awaited commands are counted for the running request."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        count_redis()
        return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]  # redis-py

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        return CountedPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


def connect(url: str, *, timeout: float, connections: int = 32) -> Redis:
    """A client whose every call ends within `timeout` seconds once connected, and is never repeated.

    `timeout` bounds one reply and one wait for a pooled connection: 0.05 for admission and cache, 0.5
    for queue and locks. Nothing is retried here: a caller that can do without Redis goes on at once.
    Errors: redis.exceptions.ConnectionError (away, or every connection busy) and TimeoutError.
    """
    sockets: dict[str, Any] = {} if url.startswith("unix:") else {"socket_keepalive": True}
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=timeout,
        socket_timeout=timeout,
        socket_connect_timeout=CONNECT_TIMEOUT,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
        # No HELLO and no CLIENT SETINFO: two round trips less on every new connection.
        protocol=2,
        driver_info=None,
        **sockets,
    )
    return CountedRedis(connection_pool=pool)


class Executor(Protocol):
    """Whatever sends one command and awaits its reply: a `Redis` client's or a `Channel`'s."""

    async def execute_command(self, *args: Any) -> Any: ...


class Sender(Protocol):
    """Whatever sends one command at once and may leave its reply unread: a `Channel`."""

    def send(self, *words: Any) -> asyncio.Future[Any]: ...


class Script:
    """A Lua script called by its digest; sent in full only to a server that does not know it yet."""

    __slots__ = ("digest", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        self.digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

    @classmethod
    def load(cls, package: str, *names: str) -> "Script":
        """The files `names` in `package`, joined in order (a prelude of functions, then its use)."""
        return cls("\n".join(files(package).joinpath(name).read_text("utf-8") for name in names))

    async def __call__(self, executor: Executor, keys: Sequence[Any], *arguments: Any) -> Any:
        """Run it: one round trip, two when the server has lost the script (restart, SCRIPT FLUSH)."""
        try:
            return await executor.execute_command("EVALSHA", self.digest, len(keys), *keys, *arguments)
        except NoScriptError:
            return await executor.execute_command("EVAL", self.source, len(keys), *keys, *arguments)

    def post(self, sender: Sender, keys: Sequence[Any], *arguments: Any, done: Settled) -> None:
        """Send it now without waiting; `done` gets the reply or the error later, outside any request."""

        def settle(reply: asyncio.Future[Any]) -> None:
            error = ConnectionError("cancelled") if reply.cancelled() else reply.exception()
            if isinstance(error, NoScriptError) and not retried:
                retried.append(True)
                again = sender.send("EVAL", self.source, len(keys), *keys, *arguments)
                again.add_done_callback(settle)
            else:
                done(None if error else reply.result(), error)

        retried: list[bool] = []
        first = sender.send("EVALSHA", self.digest, len(keys), *keys, *arguments)
        first.add_done_callback(settle)
