"""Messages between instances: to all, to a role, to one; with an answer or without.

They are hints and questions of operation. Nothing a request decides rests on one arriving.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final
from uuid import uuid4

import msgspec
from redis.exceptions import RedisError

from db.redis import Executor
from fleet.deadline import within
from fleet.instances.envelope import (
    EVERYBODY,
    MOST_BYTES,
    Address,
    Body,
    Envelope,
    InstanceRefused,
    InstanceSilent,
    InstanceUnreachable,
    instance_address,
    role_address,
)
from fleet.logging import get_logger
from fleet.metrics import instance_coordination_messages_total, instance_request_duration_seconds

log = get_logger("fleet.instances")

Handler = Callable[[Body], Awaitable[Body]]
Listener = Callable[[Body], None]

#: Seconds one handler may take, and handlers at work at once; what comes beyond is refused.
_HANDLING: Final = 10.0
_AT_ONCE: Final = 16
_OUTAGES: Final = (RedisError, OSError, TimeoutError)
_UNKNOWN: Final = "unknown"


class Bus:
    """One process's messages. `redis` sends; whoever listens hands what arrives to `receive`."""

    def __init__(self, instance_id: str, role: str, redis: Executor) -> None:
        self._id = instance_id
        self._redis = redis
        self._handlers: dict[str, Handler] = {}
        self._listeners: dict[str, list[Listener]] = {}
        self._waiting: dict[str, asyncio.Future[Envelope]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.channels = tuple(
            address.channel for address in (EVERYBODY, role_address(role), instance_address(instance_id))
        )

    def answer(self, kind: str, handler: Handler) -> None:
        """What this instance does, and says, when it is asked for `kind`."""
        self._handlers[kind] = handler

    def on(self, kind: str, listener: Listener) -> None:
        """Call with the body of every event of `kind`, from whichever instance, also from this one."""
        self._listeners.setdefault(kind, []).append(listener)

    async def tell(self, to: Address, kind: str, body: Body | None = None) -> int:
        """An event; how many instances got it. 0 when Redis is away: events are hints, so that is no error."""
        try:
            return await self._send(to, Envelope(id=uuid4().hex, kind=kind, sender=self._id, body=body or {}))
        except _OUTAGES:
            return 0

    async def ask(self, instance_id: str, kind: str, body: Body | None = None, *, timeout: float = 2.0) -> Body:
        """The instance's answer, waited for no longer than the work at hand may still take.

        Raises InstanceUnreachable, InstanceSilent, InstanceRefused, DeadlineExceeded.
        """
        timeout = within(timeout)
        began, outcome = time.perf_counter(), "timeout"
        asked = Envelope(id=uuid4().hex, kind=kind, sender=self._id, body=body or {}, wants=True)
        answer = self._waiting[asked.id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout):
                if not await self._send(instance_address(instance_id), asked):
                    raise InstanceUnreachable(instance=instance_id, retry_after=2)
                reply = await answer
            outcome = "refused" if reply.refusal else "answered"
        except TimeoutError:
            raise InstanceSilent(instance=instance_id, waited_seconds=round(timeout, 3), retry_after=2) from None
        except (RedisError, OSError) as error:
            outcome = "unreachable"
            raise InstanceUnreachable(instance=instance_id, retry_after=2) from error
        except InstanceUnreachable:
            outcome = "unreachable"
            raise
        finally:
            del self._waiting[asked.id]
            instance_request_duration_seconds.at(outcome).observe(time.perf_counter() - began)
        if reply.refusal:
            raise InstanceRefused(f"{instance_id}: {reply.refusal}", instance=instance_id)
        found: Body = reply.body
        return found

    async def ask_all(
        self, instance_ids: Iterable[str], kind: str, body: Body | None = None, *, timeout: float = 2.0
    ) -> dict[str, Body | InstanceUnreachable | InstanceSilent | InstanceRefused]:
        """Everybody at once; by id the answer, or why there is none. Raises DeadlineExceeded: nobody was asked."""
        ids = list(instance_ids)
        asked = (self._asked(one, kind, body, timeout) for one in ids)
        return dict(zip(ids, await asyncio.gather(*asked), strict=True))

    async def _asked(
        self, instance_id: str, kind: str, body: Body | None, timeout: float
    ) -> Body | InstanceUnreachable | InstanceSilent | InstanceRefused:
        try:
            return await self.ask(instance_id, kind, body, timeout=timeout)
        except (InstanceUnreachable, InstanceSilent, InstanceRefused) as error:
            return error

    async def close(self) -> None:
        """What is being handled is given up."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- what arrives -----------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """One message as it came. Whatever is in it, the listener goes on."""
        try:
            if len(data) > MOST_BYTES:
                raise ValueError("too long")
            message = msgspec.json.decode(data, type=Envelope)
        except ValueError as error:  # msgspec's own errors are some
            log.warning("a message that cannot be read", reason=str(error)[:200])
            return
        known = message.kind in self._handlers or message.kind in self._listeners or message.id in self._waiting
        kind = message.kind if known or message.answers in self._waiting else _UNKNOWN
        instance_coordination_messages_total.at(kind, "received").inc()
        if message.answers:
            answer = self._waiting.get(message.answers)
            if answer is not None and not answer.done():
                answer.set_result(message)
        elif message.wants:
            self._begin(message)
        else:
            self._note(message)

    def _begin(self, message: Envelope) -> None:
        task = asyncio.create_task(self._handle(message), name=f"message {message.kind[:32]}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _note(self, message: Envelope) -> None:
        for listener in self._listeners.get(message.kind, ()):
            try:
                listener(message.body)
            except Exception:  # one listener's mistake must not deafen the process
                log.exception("an event was not dealt with", kind=message.kind)

    async def _handle(self, message: Envelope) -> None:
        body, refusal = await self._handled(message)
        reply = Envelope(
            id=uuid4().hex, kind=message.kind, sender=self._id, body=body, answers=message.id, refusal=refusal
        )
        try:
            await self._send(instance_address(message.sender), reply)
        except _OUTAGES as error:
            log.warning("an answer was not sent", kind=message.kind, reason=type(error).__name__)

    async def _handled(self, message: Envelope) -> tuple[Body, str]:
        handler = self._handlers.get(message.kind)
        if handler is None:
            return {}, "it does not know how"
        if len(self._tasks) > _AT_ONCE:
            return {}, "it has too many messages in hand"
        try:
            async with asyncio.timeout(_HANDLING):
                return await handler(message.body), ""
        except Exception as error:  # whatever it is: the one who asked must not wait in vain
            log.exception("a message was not dealt with", kind=message.kind)
            return {}, f"it failed: {type(error).__name__}"

    async def _send(self, to: Address, message: Envelope) -> int:
        data = msgspec.json.encode(message)
        if len(data) > MOST_BYTES:
            message = msgspec.structs.replace(message, body={}, refusal="its answer is too long")
            data = msgspec.json.encode(message)
        receivers = int(await self._redis.execute_command("PUBLISH", to.channel, data))
        instance_coordination_messages_total.at(message.kind, "sent").inc()
        return receivers
