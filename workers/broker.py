"""The queues in Redis: which row to look at now. Messages are hints and may be lost or doubled; rows are not."""

import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from threading import Event
from typing import Any, NamedTuple
from uuid import UUID

import dramatiq
from dramatiq import Message, Middleware
from dramatiq.broker import Consumer
from dramatiq.brokers.redis import RedisBroker
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from db.two_phase import MAIN
from workers.consumer import Presence, WaitingConsumer
from workers.settings import WorkerSettings

#: Queue -> Dramatiq's order among messages one process has fetched. Separate processes make the difference.
QUEUES = {"high": 0, "default": 50, "low": 100}


class Level(NamedTuple):
    """Jobs of a queue: in messages that no worker has fetched, and in those fetched since Redis counts; and the
    threads of the workers that live."""

    waiting: int
    taken: int
    threads: int


class Bundle(NamedTuple):
    """Jobs of one tenant that go to a worker as one message."""

    queue: str
    tenant_id: UUID
    ids: Sequence[UUID]


RunJobs = Callable[[UUID, Sequence[UUID], str], Coroutine[Any, Any, None]]


class JobBroker(RedisBroker):
    """Dramatiq's broker with our bounds, and a way to enqueue many messages in one round trip."""

    def __init__(self, url: str, settings: WorkerSettings, middleware: Sequence[Middleware] = ()) -> None:
        client = Redis.from_url(
            url,
            socket_timeout=5.0,
            socket_connect_timeout=1.0,
            **({} if url.startswith("unix:") else {"socket_keepalive": True}),
            # Dramatiq retries by itself, in the thread that knows why.
            retry=Retry(NoBackoff(), 0),
        )
        # No Retries, TimeLimit or AgeLimit: attempts, limits and ages are the job row's.
        super().__init__(  # type: ignore[no-untyped-call]  # Dramatiq leaves it untyped
            client=client,
            middleware=list(middleware),
            heartbeat_timeout=settings.queue_heartbeat_ms,
            maintenance_chance=settings.queue_maintenance_chance,
        )
        #: Set while this process takes messages; what it has fetched it works off in any case.
        self.taking = Event()
        self.taking.set()
        #: That work on what this process fetches; told to whoever looks at the levels.
        self.threads = 0
        for queue in QUEUES:
            self.declare_queue(queue)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5_000) -> Consumer:
        """`timeout` in milliseconds bounds every wait of the consumer."""
        if queue_name.endswith(".DQ"):
            # For delayed messages, of which we have none: there it only shows that we live, however busy we are.
            return super().consume(queue_name, prefetch, min(timeout, self.heartbeat_timeout // 5))
        inner = super().consume(queue_name, prefetch, timeout=0)
        key = f"{self.namespace}:{queue_name}"
        presence = Presence(self.client, f"{key}.threads", f"{self.broker_id}:{self.threads}", self.heartbeat_timeout)
        return WaitingConsumer(inner, self.client, key, timeout / 1000, self.taking, presence, self.threads)

    def send(self, bundles: Iterable[Bundle], database: str = MAIN) -> None:
        """A message for each, in order, of jobs whose rows are in `database`.

        Errors: redis.exceptions.RedisError.
        """
        pipe = self.client.pipeline(transaction=True)
        sent: Counter[str] = Counter()
        for bundle in bundles:
            self._put(pipe, job_message(bundle, database))
            sent[bundle.queue] += len(bundle.ids)
        for queue, count in sent.items():
            pipe.incrby(f"{self.namespace}:{queue}.sent", count)
        pipe.execute()

    def levels(self) -> dict[str, Level]:
        """Of every queue. Errors: redis.exceptions.RedisError."""
        pipe = self.client.pipeline(transaction=True)
        since = int(time.time() * 1000) - self.heartbeat_timeout
        for queue in QUEUES:
            pipe.lrange(f"{self.namespace}:{queue}", 0, -1)
            pipe.get(f"{self.namespace}:{queue}.sent")
            pipe.zrange(f"{self.namespace}:{queue}.threads", since, "+inf", byscore=True)
        answers = pipe.execute()
        levels = {}
        for queue, messages, sent, present in zip(QUEUES, answers[::3], answers[1::3], answers[2::3], strict=True):
            waiting = sum(jobs_in(message) for message in messages)
            threads = sum(int(member.rpartition(b":")[2]) for member in present)
            levels[queue] = Level(waiting, int(sent or 0) - waiting, threads)
        return levels

    def _put(self, pipe: Any, message: Message[Any]) -> None:
        # What Dramatiq's own "enqueue" command does, without a round trip and a heartbeat for each message.
        key = f"{self.namespace}:{message.queue_name}"
        pipe.hset(f"{key}.msgs", message.options["redis_message_id"], message.encode())
        pipe.rpush(key, message.options["redis_message_id"])


def job_message(bundle: Bundle, database: str = MAIN) -> Message[Any]:
    """Only ids and the rows' database travel: what a job is, its trace and its attempts are in its row."""
    named = (str(bundle.tenant_id), [str(id_) for id_ in bundle.ids], *(() if database == MAIN else (database,)))
    message: Message[Any] = Message(bundle.queue, actor_name(bundle.queue), named, {}, {})
    # Dramatiq keeps a message under an id of its own, because one message may be enqueued several times. In front:
    # how many jobs it stands for, so that whoever sees the list of a queue knows how long it is.
    return message.copy(options={"redis_message_id": f"{len(bundle.ids)}:{message.message_id}"})


def jobs_in(redis_message_id: bytes) -> int:
    """How many jobs a message stands for, from its place in the list of its queue."""
    count, colon, _ = redis_message_id.partition(b":")
    return int(count) if colon else 1


def actor_name(queue: str) -> str:
    return f"run_{queue}_job"


def declare_actors(broker: JobBroker, run: RunJobs) -> None:
    """One actor a queue, all of them doing the same."""

    async def run_jobs(tenant_id: str, job_ids: list[str], database: str = MAIN) -> None:
        await run(UUID(tenant_id), [UUID(job_id) for job_id in job_ids], database)

    for queue, priority in QUEUES.items():
        declare = dramatiq.actor(actor_name=actor_name(queue), queue_name=queue, priority=priority, broker=broker)
        declare(run_jobs)
