"""The engine room of one worker process: its event loop's databases, runner and metrics, from boot to shutdown."""

import asyncio
import os
import signal
import threading
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from dramatiq import Broker, Middleware, Worker
from dramatiq.asyncio import get_event_loop_thread

from db.errors import DomainError
from db.two_phase import MAIN
from erp.instance import VERSION, instance_of
from erp.runtime import Runtime, build_runtime
from erp.settings import Settings
from fleet.exposition import MetricsServer, start_metrics_server
from fleet.health import Liveness, Readiness
from fleet.instances.instance import Instance
from fleet.logging import get_logger
from fleet.metrics import build_info
from tenancy.selfcheck import FencesDown
from tenancy.work import Bounds
from workers.broker import JobBroker
from workers.heart import Heart
from workers.kinds import JobKind
from workers.runner import Runner
from workers.settings import WorkerSettings

log = get_logger("workers.room")

T = TypeVar("T")

#: Jobs may take longer than requests; one statement or one transaction still may not take for ever.
_BOUNDS = Bounds(statement_timeout=60_000, lock_timeout=5_000)
_DEADLINE = 120.0


class EngineRoom(Middleware):
    """Opens everything when the worker boots, on its event loop; drains and closes it at the end.

    Follows Dramatiq's AsyncIO middleware, which owns the loop. A database that is away at boot is waited
    for while the process already answers its probes: it becomes ready later, it does not crash.
    """

    def __init__(self, settings: Settings, worker_settings: WorkerSettings, kinds: Mapping[str, JobKind]) -> None:
        self._settings = settings
        self._worker_settings = worker_settings
        self._kinds = kinds
        self._opened = asyncio.Event()
        self._readiness = Readiness()
        self._liveness = Liveness()
        self._runtime: Runtime | None = None
        self._runners: dict[str, Runner] = {}
        self._hearts: list[Heart] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._metrics: MetricsServer | None = None
        self._taking = threading.Event()
        self._instance: Instance | None = None

    # -- what Dramatiq calls, in its own threads ------------------------------------------------

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        # What one process holds another cannot work on, so it holds little more than it can do at once.
        worker.queue_prefetch = worker.worker_threads + self._worker_settings.queue_ahead
        worker.delay_prefetch = 1  # nothing of ours is delayed in Redis
        worker.worker_timeout = self._worker_settings.queue_poll_ms
        if isinstance(broker, JobBroker):
            self._taking, broker.threads = broker.taking, worker.worker_threads
        _on_loop(self._begin())

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        _on_loop(self._drain())

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        _on_loop(self._end())

    # -- on the loop ------------------------------------------------------------------------------

    async def run_jobs(self, tenant_id: UUID, job_ids: Sequence[UUID], database: str = MAIN) -> None:
        """The actors' work. Waits until the databases are there. The row of an unknown one waits for a worker
        that knows it."""
        await self._opened.wait()
        if (runner := self._runners.get(database)) is not None:
            await runner.run(tenant_id, *job_ids)

    async def _begin(self) -> None:
        build_info.at(VERSION, self._settings.role).set(1)
        self._liveness.start()
        # Jobs decide on the primary; watching the replicas would only cost.
        databases = {name: replace(one, replica_urls=()) for name, one in self._settings.databases.items()}
        settings = replace(self._settings, replica_urls=(), databases=databases)
        self._runtime = build_runtime(settings, bounds=_BOUNDS, deadline=_DEADLINE)
        self._tasks.append(asyncio.create_task(self._open(self._runtime)))
        self._metrics = start_metrics_server(
            self._settings.metrics_port,
            address=self._settings.metrics_address,
            live=self._liveness.alive,
            ready=self._readiness.ready,
        )

    async def _open(self, runtime: Runtime) -> None:
        try:
            await _open_patiently(runtime)
        except Exception:
            # Fences that are down, above all: running one job for the wrong tenant is worse than running none.
            log.exception("this worker cannot start")
            os.kill(os.getpid(), signal.SIGTERM)
            return
        settings = self._worker_settings
        for name, platform in runtime.platforms.all.items():
            heart = Heart(platform, lease=settings.job_lease, interval=settings.job_heartbeat)
            self._hearts.append(heart)
            self._runners[name] = Runner(platform, runtime.database, heart, self._kinds, settings, runtime.metering)
            self._tasks.append(asyncio.create_task(heart.beat_forever()))
        self._readiness.start()
        self._opened.set()
        self._instance = instance_of(
            self._settings, runtime.configuration_watch, self._readiness, draining=self._stand_aside
        )
        await self._instance.start()

    def _stand_aside(self, draining: bool) -> None:
        """Fetch no more messages; what is here already is worked off. Or fetch again."""
        if draining:
            self._taking.clear()
        else:
            self._taking.set()

    async def _drain(self) -> None:
        """Running jobs go on for a while, then they are handed back; either way their workers end."""
        self._readiness.drain()
        if self._instance is not None:
            self._instance.tell_now()
        if not self._hearts:
            self._opened.set()
            return
        for heart in self._hearts:
            self._tasks.append(asyncio.create_task(heart.drain(self._worker_settings.job_drain)))

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._instance is not None:
            await self._instance.close()
        if self._runtime is not None:
            await self._runtime.close()
        self._liveness.stop()
        if self._metrics is not None:
            self._metrics.close()


async def _open_patiently(runtime: Runtime) -> None:
    pause = 0.5
    while True:
        try:
            return await runtime.open()
        except FencesDown:
            raise
        except (psycopg.Error, DomainError, OSError) as error:
            log.warning("the database is not there yet", reason=type(error).__name__)
        await asyncio.sleep(pause)
        pause = min(pause * 2, 10.0)


def _on_loop(work: Coroutine[Any, Any, T]) -> T:
    thread = get_event_loop_thread()
    assert thread is not None, "the AsyncIO middleware comes first"
    return thread.run_coroutine(work)
