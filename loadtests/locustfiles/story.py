"""What all stories share: a principal of its own for every user, its pace, and the figures at the end."""

import itertools
import os
import random
import ssl
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import gevent.ssl
import msgspec
from locust import FastHttpUser, constant_throughput, events
from locust.env import Environment

from loadtests.locustfiles.wire import CAST, OUTCOME, Cast, Outcome, Principal

cast = msgspec.json.decode(Path(os.environ[CAST]).read_bytes(), type=Cast)
_turns: dict[str, Iterator[Principal]] = {name: itertools.cycle(users) for name, users in cast.principals.items()}
_refused: Counter[str] = Counter()

TOO_MANY = 429


def trust() -> ssl.SSLContext:
    context: ssl.SSLContext = gevent.ssl.create_default_context(cafile=cast.certificate)
    return context


class Story(FastHttpUser):
    """A virtual user. A task sends one request, so that the pace counts requests."""

    abstract = True
    #: The file's name; set by each story, with `fixed_count` and `wait_time` from `users_of` and `pace_of`.
    story: str = ""
    #: Whether being refused for asking too much is what the story is about.
    may_be_refused: bool = False
    insecure = False
    ssl_context_factory = staticmethod(trust)

    def on_start(self) -> None:
        self.principal = next(_turns[self.story])
        self.headers = {"Authorization": f"Bearer {self.principal.key}"}

    def product(self) -> str:
        return random.choice(self.principal.products)

    def customer(self) -> str:
        return random.choice(self.principal.customers)

    def get(self, path: str, name: str) -> dict[str, Any] | None:
        """The answer; None when it was refused or failed."""
        with self._counted("GET", path, name, None, {}) as found:
            return found

    def post(self, path: str, name: str, body: dict[str, Any]) -> dict[str, Any] | None:
        with self._counted("POST", path, name, body, {"Idempotency-Key": str(uuid4())}) as found:
            return found

    @contextmanager
    def _counted(
        self, method: str, path: str, name: str, body: dict[str, Any] | None, more: dict[str, str]
    ) -> Iterator[dict[str, Any] | None]:
        """A reply that is not 2xx is a failure, but not the 429 of a story that is about that."""
        with self.client.request(
            method,
            path,
            name=f"{self.story}: {name}",
            json=body,
            headers={**self.headers, **more},
            catch_response=True,
        ) as reply:
            if reply.status_code == TOO_MANY and self.may_be_refused:
                _refused[self.story] += 1
                reply.request_meta["name"] = f"{self.story}: refused"
                reply.success()
                yield None
            elif not 200 <= reply.status_code < 300:
                reply.failure(f"{reply.status_code} {_code(reply.text)}")
                yield None
            else:
                reply.success()
                yield msgspec.json.decode(reply.text or "{}")


def users_of(story: str) -> int:
    return len(cast.principals[story])


def pace_of(story: str) -> Any:
    return constant_throughput(cast.per_minute[story] / 60)


def _code(text: str | None) -> str:
    try:
        return str(msgspec.json.decode(text or "{}").get("code", ""))
    except (msgspec.DecodeError, AttributeError):
        return ""


def _forget(**_told: Any) -> None:
    _refused.clear()


def _write_outcome(environment: Environment, **_told: Any) -> None:
    """The figures by story, for the process that judges them."""
    stats = environment.stats
    times: dict[str, Counter[int]] = defaultdict(Counter)
    errors: dict[str, Counter[str]] = defaultdict(Counter)
    for (label, _), entry in stats.entries.items():
        story, _, what = label.partition(": ")
        if what != "refused":
            times[story].update({int(took): count for took, count in entry.response_times.items()})
    for error in stats.errors.values():
        story, _, what = str(error.name).partition(": ")
        errors[story][f"{what}: {error.error}"] += error.occurrences
    seconds = max(1e-3, (stats.total.last_request_timestamp or 0.0) - stats.total.start_time)
    outcome = {
        name: Outcome(dict(times[name]), dict(errors[name]), _refused[name], seconds) for name in cast.principals
    }
    Path(os.environ[OUTCOME]).write_bytes(msgspec.json.encode(outcome))


events.reset_stats.add_listener(_forget)  # type: ignore[no-untyped-call]  # Locust leaves it untyped
events.quitting.add_listener(_write_outcome)  # type: ignore[no-untyped-call]
