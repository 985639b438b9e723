"""From what the rooms report to their metrics."""

from fleet.metrics import (
    LOCK_WAITED,
    cache_invalidation_events_total,
    cache_requests_total,
    db_transaction_duration_seconds,
    db_transactions_total,
    distributed_lock_held_seconds,
    distributed_lock_wait_seconds,
    distributed_locks_acquired_total,
    distributed_locks_contended_total,
    distributed_locks_failed_total,
    redis_degraded,
)

_CACHE_EVENTS = {
    "memory": ("memory", "hit"), "redis": ("redis", "hit"), "waited": ("redis", "waited"),
    "loaded": ("database", "miss"), "missing": ("database", "missing"), "refused": ("redis", "refused"),
    "lost": ("memory", "lost"),
}  # fmt: skip


def observe_cache(event: str, kind: str) -> None:
    """What `tenancy.cache.service.TenantCache(observe=...)` reports."""
    if event == "invalidated":
        cache_invalidation_events_total.inc()
    elif event in ("degraded", "recovered"):
        redis_degraded.at("cache").set(event == "degraded")
    else:
        cache_requests_total.at(kind or "any", *_CACHE_EVENTS[event]).inc()


def observe_lock(event: str, kind: str, seconds: float) -> None:
    """What `tenancy.locks.LockService(observe=...)` reports: seconds waited, or held for `released`."""
    match event:
        case "acquired" | "handed_over" | "degraded":
            mode = "redis" if event == "acquired" else event
            distributed_locks_acquired_total.at(kind, mode).inc()
            distributed_lock_wait_seconds.at(kind).observe(seconds)
            if seconds > LOCK_WAITED:
                distributed_locks_contended_total.at(kind).inc()
            if event != "handed_over":  # that one never asked Redis
                redis_degraded.at("locks").set(event == "degraded")
        case "released":
            distributed_lock_held_seconds.at(kind).observe(seconds)
        case "timeout":
            distributed_locks_contended_total.at(kind).inc()
            distributed_lock_wait_seconds.at(kind).observe(seconds)
            distributed_locks_failed_total.at(kind, event).inc()
        case _:
            distributed_locks_failed_total.at(kind, event).inc()


def observe_transaction(outcome: str, seconds: float) -> None:
    """One attempt of a command's transaction; `outcome` as in `db_transactions_total`."""
    db_transactions_total.at(outcome).inc()
    ended = "committed" if outcome == "committed" else "rolled_back"
    db_transaction_duration_seconds.at(ended).observe(seconds)
