"""Running Locust: a process of its own, because it replaces the standard library's sockets with gevent's."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from loadtests.load.budgets import Budgets
from loadtests.locustfiles.wire import CAST, OUTCOME, Cast, Outcome

REPOSITORY = Path(__file__).parents[2]
STORIES = REPOSITORY / "loadtests" / "locustfiles"
#: Users are started over so many seconds; what happens meanwhile is not counted.
START_SECONDS = 10


class LocustFailed(RuntimeError):
    """Locust did not come to its end; the text is what it said."""


def play(url: str, cast: Cast, budgets: Budgets) -> dict[str, Outcome]:
    """Story -> what was seen. Raises LocustFailed."""
    users = sum(budget.users for budget in budgets.stories.values())
    with tempfile.TemporaryDirectory(prefix="erp-load-") as folder:
        told, seen = Path(folder) / "cast.json", Path(folder) / "outcome.json"
        told.write_bytes(msgspec.json.encode(cast))  # the folder is private: it holds keys
        command = (
            *(sys.executable, "-m", "locust", "--headless", "--host", url, "--skip-log-setup", "--only-summary"),
            *("--locustfile", ",".join(str(STORIES / f"{name}.py") for name in budgets.stories)),
            *("--users", str(users), "--spawn-rate", str(max(1, users / START_SECONDS)), "--reset-stats"),
            *("--run-time", f"{START_SECONDS + budgets.run.seconds:.0f}s", "--stop-timeout", "15"),
            *("--exit-code-on-error", "0"),
        )
        ended = subprocess.run(
            command,
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), CAST: str(told), OUTCOME: str(seen)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if ended.returncode != 0 or not seen.exists():
            raise LocustFailed(f"locust ended with {ended.returncode}:\n{ended.stdout[-4000:]}")
        return msgspec.json.decode(seen.read_bytes(), type=dict[str, Outcome])
