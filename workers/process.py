"""Making a Dramatiq worker process one of ours."""

import asyncio
import signal
from collections.abc import Mapping
from types import FrameType

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
    _end_once()
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    settings, worker_settings = load_settings(), load_worker_settings()
    configure_logging(settings.log_level, instance=settings.instance, role=settings.role)
    room = EngineRoom(settings, worker_settings, kinds)
    broker = JobBroker(settings.redis_queue_url, worker_settings, [AsyncIO(), room])
    declare_actors(broker, room.run_jobs)
    dramatiq.set_broker(broker)
    return broker


def _end_once() -> None:
    """Leave further SIGTERMs unheard after the first.

    Dramatiq takes a second one for an order to drop everything, and then its process stays for ever, waiting for
    its own threads. Two are common: one to the whole group and one handed on, or a parent's death told by each of
    its threads.
    """
    end = signal.getsignal(signal.SIGTERM)

    def first(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        assert callable(end)
        end(number, frame)

    if callable(end):  # set by Dramatiq before it imports us
        signal.signal(signal.SIGTERM, first)
