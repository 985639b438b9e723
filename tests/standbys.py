"""Waiting until the standbys have replayed what the primary wrote: for reads of what somebody else changed."""

import time

import psycopg

from tests.services import Services


def catch_up(services: Services, seconds: float = 20.0) -> None:
    """Return once every standby answers from everything written so far. Raises TimeoutError."""
    with psycopg.connect(services.superuser_url, autocommit=True) as primary:
        [position] = primary.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone() or ("0/0",)
    deadline = time.monotonic() + seconds
    for url in services.standby_superuser_urls:
        while not _replayed(url, position):
            if time.monotonic() > deadline:
                raise TimeoutError(f"a standby has not replayed {position}")
            time.sleep(0.005)


def _replayed(url: str, position: str) -> bool:
    try:
        with psycopg.connect(url, autocommit=True) as standby:
            [reached] = standby.execute(
                "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn AND EXISTS (SELECT 1 FROM pg_stat_wal_receiver)",
                [position],
            ).fetchone() or (False,)
    except psycopg.OperationalError:  # it is just starting
        return False
    return bool(reached)
