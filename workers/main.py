"""Entry point of the workers: `python -m dramatiq workers.main --queues high --processes 1 --threads 4`.

Importing this module configures the process; Dramatiq imports it once in every process it forks.
"""

from workers.actors import KINDS
from workers.process import start_worker

broker = start_worker(KINDS)
