"""One socket to Redis shared by every task of the process, for the calls each request makes.

A pool hands a connection to one caller at a time: taking, checking and returning it costs more than the
call itself. Here commands are written as they come and answered in order, so callers of the same moment
share system calls; a caller that is cancelled leaves an answer nobody reads, never a shifted one.
"""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, cast
from weakref import WeakValueDictionary

import hiredis
from redis.asyncio import Redis
from redis.asyncio.connection import SSLConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, NoScriptError, ReadOnlyError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from db.counting import count_redis
from db.redis import CONNECT_TIMEOUT

Reply = asyncio.Future[Any]

#: A reply already in the socket's buffer when the event loop was late must not count as missing.
_SECOND_LOOK = 0.005
#: A rough bound on memory: beyond it the server or the event loop is too far behind to be of use.
_MAX_UNANSWERED = 10_000
_NOT_YET = object()


def _nobody(name: str, event: str) -> None:
    return None


#: Told "opened", "closed" or "refused" with a channel's name; for metrics, so it must not raise.
_observe: Callable[[str, str], None] = _nobody


def observe_channels(observe: Callable[[str, str], None]) -> None:
    """Have every channel of the process tell when it stops asking its server, asks again, and whom it refused."""
    global _observe
    _observe = observe


#: Those that live, by name; the newest of a name.
_named: "WeakValueDictionary[str, Channel]" = WeakValueDictionary()


def channel_named(name: str) -> "Channel | None":
    """The newest channel of that name in this process."""
    return _named.get(name)


class Resting(RedisConnectionError):
    """Redis failed a moment ago; the call was refused without trying."""


def _reply_error(message: str) -> ResponseError:
    code, _, text = message.partition(" ")
    if code == "NOSCRIPT":
        return NoScriptError(text)
    if code == "READONLY":
        return ReadOnlyError(text)
    return ResponseError(message)


class _Wire(asyncio.Protocol):
    """One connected socket: futures wait in the order their commands were written."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.unanswered: deque[tuple[Reply, float]] = deque()
        self.heard_at = loop.time()
        self.open = False
        self._transport: asyncio.Transport
        self._reader = hiredis.Reader(protocolError=InvalidResponse, replyError=_reply_error, notEnoughData=_NOT_YET)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one without saying so
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.open = True

    def write(self, payload: bytes, reply: Reply, sent_at: float) -> None:
        self.unanswered.append((reply, sent_at))
        self._transport.write(payload)

    def command(self, *words: Any) -> Reply:
        reply: Reply = self.loop.create_future()
        self.write(hiredis.pack_command(words), reply, self.loop.time())
        return reply

    def data_received(self, data: bytes) -> None:
        self.heard_at = self.loop.time()
        self._reader.feed(data)
        try:
            while (answer := self._reader.gets()) is not _NOT_YET:
                reply, _ = self.unanswered.popleft()
                self._settle(reply, answer)
        except (InvalidResponse, IndexError):
            self.abort()

    def _settle(self, reply: Reply, answer: Any) -> None:
        if isinstance(answer, ReadOnlyError):
            self.abort()  # demoted by a failover: the name may lead to the new server
        if reply.done():
            return
        if isinstance(answer, Exception):
            reply.set_exception(answer)
        else:
            reply.set_result(answer)

    def abort(self) -> None:
        self.open = False
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        for reply, _ in self.unanswered:
            if not reply.done():
                reply.set_exception(RedisConnectionError(f"the connection to Redis was lost: {exc or 'closed'}"))
        self.unanswered.clear()


class Channel:
    """Commands to one Redis server, each answered within `timeout` seconds or failed.

    It is a circuit breaker that one failure opens: after it every call is refused at once (`Resting`) for `rest`
    seconds; then one call tries again while the others are still refused. Connects on first use and again whenever
    it has to.
    """

    def __init__(self, redis: Redis, *, timeout: float | None = None, rest: float = 1.0, name: str = "redis") -> None:
        pool = redis.connection_pool
        self._where: dict[str, Any] = pool.connection_kwargs
        self._tls = issubclass(pool.connection_class, SSLConnection)
        self.timeout: float = timeout or self._where["socket_timeout"]
        self._rest = rest
        self._name = name
        _observe(name, "closed")
        _named[name] = self
        self._resting_until = 0.0
        self._failed = False
        self._probe: Reply | None = None
        self._wire: _Wire | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._outbox: deque[tuple[bytes, Reply, float]] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._run_id: str | None = None
        self._replaced_at = float("-inf")

    async def execute_command(self, *words: Any) -> Any:
        """Send and await one command. Errors: redis ConnectionError, TimeoutError, ResponseError."""
        count_redis()
        return await self.send(*words)

    def send(self, *words: Any) -> Reply:
        """Send one command now; the future need not be awaited."""
        loop = asyncio.get_running_loop()
        reply: Reply = loop.create_future()
        now = loop.time()
        if self._failed:
            if now < self._resting_until:
                _observe(self._name, "refused")
                reply.set_exception(Resting("Redis failed a moment ago"))
                return reply
            self._resting_until = now + self.timeout + self._rest
            self._probe = reply
            reply.add_done_callback(self._probed)
        wire = self._wire
        if wire is not None and wire.open:
            if len(wire.unanswered) >= _MAX_UNANSWERED:
                reply.set_exception(RedisConnectionError("too many unanswered commands"))
                return reply
            wire.write(hiredis.pack_command(words), reply, now)
        else:
            self._outbox.append((hiredis.pack_command(words), reply, now))
            if self._connecting is None:
                self._connecting = loop.create_task(self._connect(loop))
        if self._watch is None:
            self._watch = loop.call_later(self.timeout, self._look, loop, False)
        return reply

    def rests_for(self) -> float | None:
        """Seconds until a call tries the server again: 0 when the next does or one is trying; None: it is well."""
        if not self._failed:
            return None
        if self._probe is not None and not self._probe.done():
            return 0.0
        return max(0.0, self._resting_until - asyncio.get_running_loop().time())

    def same_server_for(self) -> float:
        """Seconds since another server process was met at this address; infinite: never.

        A restarted or failed-over server may have lost its last second of data without any other trace.
        """
        return asyncio.get_running_loop().time() - self._replaced_at

    async def open(self) -> bool:
        """Connect ahead of the first request; False when Redis is away (calls will fail fast)."""
        loop = asyncio.get_running_loop()
        if self._wire is None or not self._wire.open:
            self._connecting = self._connecting or loop.create_task(self._connect(loop))
            await asyncio.wait([self._connecting])
        return self._wire is not None and self._wire.open

    async def close(self) -> None:
        """Drop the socket; whatever is unanswered fails. A later call would connect again."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
            self._connecting = None
        self._refuse(RedisConnectionError("the channel was closed"))
        if self._wire is not None:
            self._wire.abort()

    def _fail(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._failed:
            _observe(self._name, "opened")
        self._failed = True
        self._resting_until = loop.time() + self._rest

    def _probed(self, reply: Reply) -> None:
        if reply.cancelled():
            self._resting_until = 0.0  # it learned nothing: the next call tries
        elif not isinstance(reply.exception(), RedisConnectionError | RedisTimeoutError):
            self._failed = False
            _observe(self._name, "closed")

    # -- time ------------------------------------------------------------------------------

    def _waiting(self) -> Iterator[tuple[Reply, float]]:
        """What callers still wait for, oldest first (the outbox is empty while a wire is open)."""
        if self._wire is not None:
            yield from ((reply, at) for reply, at in self._wire.unanswered if not reply.done())
        yield from ((reply, at) for _, reply, at in self._outbox if not reply.done())

    def _look(self, loop: asyncio.AbstractEventLoop, again: bool) -> None:
        """Fail what waits longer than `timeout`, then sleep until the next one could.

        One timer for all: the time-outs are equal, so the oldest command is the first to run out.
        """
        self._watch = None
        overdue = loop.time() - self.timeout
        _, oldest = next(self._waiting(), (None, None))
        if oldest is not None and oldest <= overdue and again:
            self._expire(loop, overdue)
            _, oldest = next(self._waiting(), (None, None))
        if oldest is not None and oldest <= overdue:
            self._watch = loop.call_later(_SECOND_LOOK, self._look, loop, True)
        elif oldest is not None:
            self._watch = loop.call_at(oldest + self.timeout, self._look, loop, False)

    def _expire(self, loop: asyncio.AbstractEventLoop, overdue: float) -> None:
        late = [(reply, at) for reply, at in self._waiting() if at <= overdue]
        for reply, _ in late:
            reply.set_exception(RedisTimeoutError(f"no answer from Redis within {self.timeout} s"))
        self._fail(loop)
        if self._wire is not None and self._wire.heard_at < late[0][1]:
            self._wire.abort()  # silent since then, so stopped or half-open: a new connection will tell

    # -- connecting ------------------------------------------------------------------------

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> None:
        wire: _Wire | None = None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                wire = await self._dial(loop)
                await self._greet(wire, loop)
        except (OSError, RedisError) as error:  # OSError covers the time-out
            self._fail(loop)
            if wire is not None:
                wire.abort()
            self._refuse(RedisConnectionError(f"Redis is away: {error or 'no answer'}"))
        except asyncio.CancelledError:
            if wire is not None:
                wire.abort()
            raise
        else:
            self._wire = wire
            while self._outbox:
                payload, reply, sent_at = self._outbox.popleft()
                if not reply.done():
                    wire.write(payload, reply, sent_at)
        finally:
            self._connecting = None

    def _refuse(self, error: RedisConnectionError) -> None:
        while self._outbox:
            _, reply, _ = self._outbox.popleft()
            if not reply.done():
                reply.set_exception(error)

    async def _dial(self, loop: asyncio.AbstractEventLoop) -> _Wire:
        where = self._where
        if path := where.get("path"):
            _, wire = await loop.create_unix_connection(lambda: _Wire(loop), path)
            return wire
        context: ssl.SSLContext | None = None
        if self._tls:
            context = SSLConnection(**where).ssl_context.get()
        _, wire = await loop.create_connection(
            lambda: _Wire(loop), where.get("host", "localhost"), where.get("port", 6379), ssl=context
        )
        return wire

    async def _greet(self, wire: _Wire, loop: asyncio.AbstractEventLoop) -> None:
        """Authenticate, choose the database and learn which server process this is: one round trip."""
        where = self._where
        replies = []
        if password := where.get("password"):
            username = where.get("username")
            replies.append(wire.command("AUTH", *([username] if username else []), password))
        if database := where.get("db"):
            replies.append(wire.command("SELECT", database))
        replies.append(wire.command("INFO", "server"))
        *_, server = await asyncio.gather(*replies)
        run_id = next((line for line in server.decode().splitlines() if line.startswith("run_id:")), "")
        if self._run_id is not None and run_id != self._run_id:
            self._replaced_at = loop.time()
        self._run_id = run_id
