"""Entry point of worker processes in tests."""

from tests.workers.probes import PROBES
from workers.process import start_worker

broker = start_worker(PROBES)
