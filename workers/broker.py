"""The queues in Redis: which row to look at now. Messages are hints and may be lost or doubled; rows are not."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any
from uuid import UUID

import dramatiq
from dramatiq import Message, Middleware
from dramatiq.broker import Consumer
from dramatiq.brokers.redis import RedisBroker
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from workers.settings import WorkerSettings

#: Queue -> Dramatiq's order among messages one process has fetched. Separate processes make the difference.
QUEUES = {"high": 0, "default": 50, "low": 100}

RunJob = Callable[[UUID, UUID], Coroutine[Any, Any, None]]


class JobBroker(RedisBroker):
    """Dramatiq's broker with our bounds, and a way to enqueue many messages in one round trip."""

    def __init__(self, url: str, settings: WorkerSettings, middleware: Sequence[Middleware] = ()) -> None:
        client = Redis.from_url(
            url,
            socket_timeout=5.0,
            socket_connect_timeout=1.0,
            socket_keepalive=True,
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
        for queue in QUEUES:
            self.declare_queue(queue)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5_000) -> Consumer:
        """Dramatiq polls a second queue for delayed messages. We have none; there it only shows that we live."""
        if queue_name.endswith(".DQ"):
            timeout = self.heartbeat_timeout // 5
        return super().consume(queue_name, prefetch, timeout)

    def send(self, jobs: Mapping[str, Sequence[tuple[UUID, UUID]]]) -> None:
        """Messages for the (tenant id, job id) of each queue, in order. Errors: redis.exceptions.RedisError."""
        pipe = self.client.pipeline(transaction=True)
        for queue, tickets in jobs.items():
            for tenant_id, job_id in tickets:
                self._put(pipe, job_message(queue, tenant_id, job_id))
        pipe.execute()

    def waiting(self) -> dict[str, int]:
        """Messages per queue that no worker has fetched. Errors: redis.exceptions.RedisError."""
        pipe = self.client.pipeline(transaction=False)
        for queue in QUEUES:
            pipe.llen(f"{self.namespace}:{queue}")
        return dict(zip(QUEUES, pipe.execute(), strict=True))

    def _put(self, pipe: Any, message: Message[Any]) -> None:
        # What Dramatiq's own "enqueue" command does, without a round trip and a heartbeat for each message.
        key = f"{self.namespace}:{message.queue_name}"
        pipe.hset(f"{key}.msgs", message.options["redis_message_id"], message.encode())
        pipe.rpush(key, message.options["redis_message_id"])


def job_message(queue: str, tenant_id: UUID, job_id: UUID) -> Message[Any]:
    """Only ids travel: what the job is, its trace and its attempts are in its row."""
    message: Message[Any] = Message(queue, actor_name(queue), (str(tenant_id), str(job_id)), {}, {})
    # Dramatiq keeps a message under an id of its own, because one message may be enqueued several times.
    return message.copy(options={"redis_message_id": message.message_id})


def actor_name(queue: str) -> str:
    return f"run_{queue}_job"


def declare_actors(broker: JobBroker, run: RunJob) -> None:
    """One actor a queue, all of them doing the same."""

    async def run_job(tenant_id: str, job_id: str) -> None:
        await run(UUID(tenant_id), UUID(job_id))

    for queue, priority in QUEUES.items():
        declare = dramatiq.actor(actor_name=actor_name(queue), queue_name=queue, priority=priority, broker=broker)
        declare(run_job)
