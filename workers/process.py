"""Making a Dramatiq worker process one of ours."""

import asyncio
from collections.abc import Mapping

import dramatiq
import uvloop
from dramatiq.middleware import AsyncIO

from erp.settings import load_settings
from fleet.logging import configure_logging
from workers.broker import JobBroker, declare_actors
from workers.kinds import JobKind
from workers.room import EngineRoom
from workers.settings import load_worker_settings


def start_worker(kinds: Mapping[str, JobKind]) -> JobBroker:
    """The process's broker, with an engine room that runs these kinds of jobs."""
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    settings, worker_settings = load_settings(), load_worker_settings()
    configure_logging(settings.log_level, instance=settings.instance, role=settings.role)
    room = EngineRoom(settings, worker_settings, kinds)
    broker = JobBroker(settings.redis_queue_url, worker_settings, [AsyncIO(), room])
    declare_actors(broker, room.run_job)
    dramatiq.set_broker(broker)
    return broker
