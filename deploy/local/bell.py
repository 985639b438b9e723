"""What the supervisor sleeps on: a child ended, another thread has news, a signal came, or the time is over."""

import contextlib
import os
import select
import signal


class Bell:
    """Rung by SIGCHLD and by `ring`; a ring between two waits ends the second at once, so none is missed."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def listen(self) -> None:
        """Have every signal that is handled in Python ring too. Main thread only."""
        # Without a handler of its own SIGCHLD would be ignored and ring nothing.
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)

    def ring(self) -> None:
        """End the wait. From any thread."""
        with contextlib.suppress(BlockingIOError):  # full of earlier rings
            os.write(self._writing, b"\0")

    def wait(self, seconds: float) -> None:
        """Until it is rung, at most so long."""
        select.select([self._reading], [], [], max(0.0, seconds))
        with contextlib.suppress(BlockingIOError):
            while os.read(self._reading, 4096):
                pass
