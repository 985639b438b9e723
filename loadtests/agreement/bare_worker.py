"""Dramatiq with nothing of ours round it: one actor that does nothing, and a count of how often it did.

ERP_REDIS_QUEUE_URL: the server, in a namespace of its own.
"""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

NAMESPACE, COUNT = "bench-bare", "bench-bare:done"

broker = RedisBroker(url=os.environ["ERP_REDIS_QUEUE_URL"], namespace=NAMESPACE)  # type: ignore[no-untyped-call]
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="bare")
def nothing() -> None:
    broker.client.incr(COUNT)
