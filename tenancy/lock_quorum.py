"""The same three lock steps over several independent Redis servers: held when a majority granted it.

One Redis that fails over or loses its memory may grant a lock twice; a majority of independent ones does so
only when most of them fail together. Clocks and pauses are no safer than with one server, so row locks and
fences decide here too. The algorithm is the one Redis' documentation calls Redlock.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from db.redis import Script, Settled
from db.redis_channel import Channel
from tenancy.lock_store import LockScripts

#: Of the time to live, what clocks of different servers may drift apart; then two milliseconds for rounding.
DRIFT = 0.01
_ROUNDING_MS = 2


class NoMajority(RedisConnectionError):
    """Fewer than a majority of the servers answered: as good as none."""


class Nodes:
    """The independent servers. Each is waited for as long as its channel allows, all at the same time."""

    def __init__(self, channels: Sequence[Channel]) -> None:
        if len(channels) < 3 or len(channels) % 2 == 0:
            raise ValueError(f"a majority wants an odd number of lock servers, three at least, not {len(channels)}")
        self.channels = tuple(channels)
        self.majority = len(channels) // 2 + 1

    async def open(self) -> None:
        await asyncio.gather(*(channel.open() for channel in self.channels))

    async def close(self) -> None:
        await asyncio.gather(*(channel.close() for channel in self.channels))

    async def ask(self, call: Callable[[Channel], Awaitable[Any]]) -> list[Any]:
        """What the servers answered, in their order; an error stands for itself."""
        answers = await asyncio.gather(*(call(channel) for channel in self.channels), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, RedisError):
                raise answer
        return answers

    def collect(self, decide: Callable[[list[Any]], Any], done: Settled) -> Callable[[], Settled]:
        """A receiver per server; once all have answered, `done` gets what `decide` makes of the answers."""
        answers: list[Any] = []

        def receiver() -> Settled:
            def receive(answer: Any, error: BaseException | None) -> None:
                answers.append(error if error is not None else answer)
                if len(answers) == len(self.channels):
                    decided = decide(answers)
                    failed = isinstance(decided, BaseException)
                    done(None if failed else decided, decided if failed else None)

            return receive

        return receiver


def quorum_scripts(nodes: Nodes, single: LockScripts) -> LockScripts:
    """The steps of `single` on every node, with a majority's answer as the answer."""
    return LockScripts(
        acquire=cast(Script, _Acquire(nodes, single)),
        release=cast(Script, _Release(nodes, single)),
        extend=cast(Script, _Extend(nodes, single)),
    )


class _Acquire:
    """Granted by a majority, with time left after asking them; else given back everywhere."""

    def __init__(self, nodes: Nodes, scripts: LockScripts) -> None:
        self._nodes = nodes
        self._scripts = scripts

    async def __call__(self, _: Any, keys: Sequence[Any], token: str, ttl_ms: int, *rest: Any) -> Any:
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        try:
            answers = await self._nodes.ask(
                lambda channel: self._scripts.acquire(channel, keys, token, ttl_ms, *rest)
            )
        except asyncio.CancelledError:
            self._give_back(keys, token)
            raise
        granted = sum(1 for answer in answers if _said(answer) and not answer[0])
        left_ms = ttl_ms * (1 - DRIFT) - _ROUNDING_MS - (loop.time() - asked_at) * 1000
        if granted >= self._nodes.majority and left_ms > 0:
            return [0]
        if granted:
            self._give_back(keys, token)
        if sum(map(_said, answers)) < self._nodes.majority:
            raise NoMajority("fewer than a majority of the lock servers answered")
        busy = next((answer for answer in answers if _said(answer) and answer[0]), [1, 0, 0])
        # Nobody may count on being first in line: the servers keep separate lines.
        return [busy[0], busy[1], 0]

    def _give_back(self, keys: Sequence[Any], token: str) -> None:
        for channel in self._nodes.channels:
            self._scripts.release.post(channel, keys, token, 0, 0, done=_nobody_waits)


class _Release:
    """Everywhere, whoever granted it; answered when a majority has answered."""

    def __init__(self, nodes: Nodes, scripts: LockScripts) -> None:
        self._nodes = nodes
        self._scripts = scripts

    def post(self, _: Any, keys: Sequence[Any], token: str, *rest: Any, done: Settled) -> None:
        receiver = self._nodes.collect(self._decide, done)
        for channel in self._nodes.channels:
            # No reservation for a waiter: each server would keep it for another one.
            self._scripts.release.post(channel, keys, token, 0, 0, done=receiver())

    def _decide(self, answers: list[Any]) -> Any:
        said = [answer for answer in answers if not isinstance(answer, BaseException)]
        if len(said) < self._nodes.majority:
            return NoMajority("fewer than a majority of the lock servers answered")
        return sorted(said)[-self._nodes.majority]


class _Extend:
    """Extended where a majority still knows the token; a server that lost it does not matter."""

    def __init__(self, nodes: Nodes, scripts: LockScripts) -> None:
        self._nodes = nodes
        self._scripts = scripts

    def post(self, _: Any, keys: Sequence[Any], token: str, ttl_ms: int, *, done: Settled) -> None:
        receiver = self._nodes.collect(self._decide, done)
        for channel in self._nodes.channels:
            self._scripts.extend.post(channel, keys, token, ttl_ms, done=receiver())

    def _decide(self, answers: list[Any]) -> Any:
        said = [answer for answer in answers if not isinstance(answer, BaseException)]
        if sum(1 for answer in said if not answer) >= self._nodes.majority:
            return 0
        gone = [answer for answer in said if answer]
        if len(gone) > len(self._nodes.channels) - self._nodes.majority:
            return gone[0]
        return NoMajority("fewer than a majority of the lock servers extended the lock")


def _said(answer: Any) -> bool:
    return not isinstance(answer, BaseException)


def _nobody_waits(answer: Any, error: BaseException | None) -> None:
    """What was not given back lapses."""
