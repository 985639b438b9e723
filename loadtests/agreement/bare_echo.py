"""The other end of a bare question over Redis: whatever is said on one channel comes back on another.

ERP_REDIS_SESSIONS_URL: the server.
"""

import os

from redis import Redis

ASKED, ANSWERED = "bench:bare:asked", "bench:bare:answered"

if __name__ == "__main__":
    client = Redis.from_url(os.environ["ERP_REDIS_SESSIONS_URL"])
    with client.pubsub(ignore_subscribe_messages=True) as subscription:  # type: ignore[no-untyped-call]
        subscription.subscribe(ASKED)
        for message in subscription.listen():
            client.publish(ANSWERED, message["data"])
