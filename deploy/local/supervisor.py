"""The process above all others: brings the fleet up in order, keeps it up, takes it down without remains."""

import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from types import FrameType

from deploy.local.bell import Bell
from deploy.local.children import Child, Watch
from deploy.local.descendants import end_all_children, reap_orphans
from deploy.local.errors import LocalFleetError, StartFailed
from deploy.local.layout import state_layout
from deploy.local.options import read_options
from deploy.local.plan import Member, Plan, make_plan
from deploy.local.ports import check_free
from deploy.local.processes import Program, Running, await_ready, become_subreaper, run_in_batches, tail
from deploy.local.progress import Journal
from deploy.local.status import supervision

LONGEST_REST = 10.0  # nothing happens in between but that logs grow
LOG_LIMIT = 32 * 1024 * 1024
APPLICATION_SECONDS = 90.0
ALREADY_RUNNING = 75


#: A signal that breaks into these leaves one of their locks taken for ever, and whoever waits for a child hangs.
_UNBREAKABLE = frozenset({"subprocess", "threading"})


class StopRequested(BaseException):
    """A signal asked the supervisor to end. Not an Exception: nothing on the way may swallow it."""


class Supervisor:
    """Children in the order they were started; they are stopped in the order of `_stages`."""

    def __init__(self, plan: Plan, journal: Journal) -> None:
        self.plan = plan
        self.journal = journal
        self.children: list[Child] = []
        self._bell = Bell()
        self._watch = Watch(self.children, self._bell.ring)
        self._balanced: frozenset[int] = frozenset()
        self._stop_requested = False

    def run(self) -> None:
        """Until a signal arrives. Raises LocalFleetError when the fleet could not be started."""
        become_subreaper()
        run_in_batches()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._requested)
        self._bell.listen()
        try:
            self._bring_up()
            self.journal.phase("running")
            while True:
                self._tend()
                self._heed()
                self._bell.wait(self._rest())
        except StopRequested:
            pass
        finally:
            self._take_down()

    # --- up

    def _bring_up(self) -> None:
        plan, step = self.plan, self.journal.step
        check_free(plan.ports())
        with step("Redis: core and cache"):
            for server in (plan.core, plan.cache):
                server.configure()
                self._launch(Member(server.program(), server.accepts, server.port))
        with step("PostgreSQL: primary and two standbys"):
            plan.cluster.bring_up(self._launch_database)
        for child in self.children:
            self._await(child, 30.0)
        with step("Schema migrations"):
            for program in plan.migrations():
                self._complete(program)
        if plan.pooler is not None:
            with step("PgBouncer"):
                if not plan.pooler.prepares:
                    self._complete(*plan.registrations())
                plan.pooler.configure()
                self._launch_ready(Member(plan.pooler.program(), plan.pooler.accepts, plan.pooler.port))
        with step("API instances, worker pools, coordinators"):
            started = [self._launch(member) for member in plan.applications()]
            for child in started:
                self._await(child, APPLICATION_SECONDS)
        if plan.balancer is not None:
            with step("nginx"):
                plan.balancer.configure()
                member = Member(plan.balancer.program(), plan.balancer.accepts, plan.balancer.https_port)
                self._launch_ready(member)
        self._watch.begin()

    def _launch(self, member: Member) -> Child:
        child = Child(member)
        self.children.append(child)
        child.start()
        self._report()
        self._heed()
        return child

    def _launch_ready(self, member: Member) -> None:
        self._await(self._launch(member), 30.0)

    def _launch_database(self, program: Program) -> Running:
        running = self._launch(self._database(program)).running
        assert running is not None
        return running

    def _database(self, program: Program) -> Member:
        cluster, secret = self.plan.cluster, self.plan.cluster.credentials.superuser
        if program.name == cluster.primary.name:
            return Member(program, partial(cluster.primary.accepts, secret), cluster.primary.port)
        replica = next(one for one in cluster.replicas if one.name == program.name)
        return Member(program, partial(replica.streams, secret), replica.port)

    def _await(self, child: Child, seconds: float) -> None:
        assert child.running is not None
        await_ready(child.running, child.member.ready, seconds, every=0.05)
        child.healthy = True
        self._report()
        self._heed()

    @staticmethod
    def _complete(*programs: Program) -> None:
        """Run them at the same time to their ends. Raises StartFailed."""
        runs = [Child(Member(program, lambda: True)).start() for program in programs]
        codes = [running.process.wait() for running in runs]
        for program, code in zip(programs, codes, strict=True):
            if code != 0:
                raise StartFailed(f"`{program.name}` ended with {code}:\n{tail(program.log)}")

    # --- keeping up

    def _tend(self) -> None:
        now = time.monotonic()
        for child in self.children:
            child.tend(now)
        reap_orphans({child.running.pid for child in self.children if child.running is not None})
        self._balance()
        self._cut_logs()
        self._report()

    def _rest(self) -> float:
        """Seconds until something is to be done that nobody rings for."""
        now = time.monotonic()
        return min(LONGEST_REST, *(child.rest(now) for child in self.children))

    def _balance(self) -> None:
        """Tell nginx which instances are ready, when that changed."""
        balancer = self.plan.balancer
        front = next((child for child in self.children if child.name == "nginx"), None)
        if balancer is None or front is None or front.running is None:
            return
        ready = frozenset(
            child.member.port for child in self.children if child.member.port in balancer.api_ports and child.healthy
        )
        if ready != self._balanced:
            balancer.balance(front.running, ready)
            self._balanced = ready

    def _cut_logs(self) -> None:
        """Start a log afresh when it has grown too long; writers append, so they go on at its new end."""
        for path in self.plan.layout.logs.iterdir():
            if path.stat().st_size > LOG_LIMIT:
                os.truncate(path, 0)

    def _report(self) -> None:
        self.journal.children(tuple(child.status() for child in self.children))

    # --- down

    def _take_down(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._hurry)
        self.journal.phase("stopping")
        self._watch.end()
        for text, names in self._stages():
            group = [child for child in self.children if child.name in names and child.running is not None]
            if group:
                with self.journal.step(text):
                    self._stop(group)
        end_all_children()
        self._report()

    def _stages(self) -> list[tuple[str, Sequence[str]]]:
        plan = self.plan
        applications = [member.program.name for member in plan.applications()]
        return [
            ("stopped nginx", ["nginx"]),
            ("stopped API, workers, coordinators", applications),
            ("stopped PgBouncer", ["pgbouncer"]),
            ("stopped the primary", [plan.cluster.primary.name]),
            ("stopped the standbys", [one.name for one in plan.cluster.replicas]),
            ("stopped Redis", [plan.core.name, plan.cache.name]),
        ]

    def _stop(self, group: Sequence[Child]) -> None:
        runs = [child.running for child in group if child.running is not None]
        for running in runs:
            running.ask_to_stop()
        for running in runs:
            running.finish(max(0.0, running.program.stop_seconds))
        for child in group:
            child.stopped()
        self._report()

    def _requested(self, number: int, frame: FrameType | None) -> None:
        """End at once, or a moment later where breaking in would do harm."""
        self._stop_requested = True
        if not _within(frame, _UNBREAKABLE):
            raise StopRequested

    def _heed(self) -> None:
        """End when a signal asked for it at a moment that could not be broken into."""
        if self._stop_requested:
            raise StopRequested

    def _hurry(self, number: int, frame: FrameType | None) -> None:
        """A second signal: end everything now. PostgreSQL recovers from its log at the next start."""
        for child in self.children:
            if child.running is not None:
                child.running.process.kill()


def _within(frame: FrameType | None, modules: Collection[str]) -> bool:
    """Whether that frame, or one it was called from, runs code of one of the modules."""
    while frame is not None:
        if frame.f_globals.get("__name__") in modules:
            return True
        frame = frame.f_back
    return False


def supervise(show: Callable[[str], None] | None = None) -> None:
    """Run the fleet of this state directory in this process. Raises LocalFleetError."""
    os.umask(0o077)
    layout = state_layout()
    plan = make_plan(layout, read_options())
    with supervision(layout):
        journal = Journal(layout, plan.url, plan.notes, show)
        try:
            Supervisor(plan, journal).run()
        except LocalFleetError as failure:
            journal.phase("failed", str(failure))
            raise
        journal.phase("stopped")


if __name__ == "__main__":
    try:
        supervise()
    except LocalFleetError as failure:
        sys.exit(str(failure))
