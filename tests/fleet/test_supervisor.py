"""A signal that reaches the supervisor while it asks after a child leaves no lock taken, so that it can end."""

import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import cast

import pytest

from deploy.local.plan import Plan
from deploy.local.progress import Journal
from deploy.local.supervisor import StopRequested, Supervisor


def frame_in(module: str) -> FrameType:
    """A frame of the module that was called from here."""
    code = "import sys\ndef at_work(): return sys._getframe()"
    known: dict[str, object] = {"__name__": module}
    exec(code, known)
    return cast("Callable[[], FrameType]", known["at_work"])()


@pytest.fixture
def supervisor() -> Supervisor:
    return Supervisor(cast(Plan, None), cast(Journal, None))


def test_signal_in_the_middle_of_asking_after_a_child_is_heeded_a_moment_later(supervisor: Supervisor) -> None:
    supervisor._heed()
    supervisor._requested(signal.SIGTERM, frame_in("subprocess"))
    with pytest.raises(StopRequested):
        supervisor._heed()


def test_signal_at_any_other_moment_ends_at_once(supervisor: Supervisor) -> None:
    with pytest.raises(StopRequested):
        supervisor._requested(signal.SIGTERM, sys._getframe())
