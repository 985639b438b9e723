"""Every metric of every process, defined once. Names are part of the product: dashboards and alerts use them.

No label ever holds a tenant, a principal or anything a client can invent; see `fleet.instruments`.
"""

from prometheus_client import GCCollector, Histogram, PlatformCollector, ProcessCollector

from fleet.exposition import MetricsServer as MetricsServer
from fleet.exposition import render as render
from fleet.exposition import render_json as render_json
from fleet.exposition import start_metrics_server as start_metrics_server
from fleet.instruments import (
    REGISTRY,
    counter,
    gauge,
    histogram,
    label,
    plain_counter,
    plain_gauge,
)
from fleet.pool_metrics import PoolCollector

QUEUES = ("high", "default", "low")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LOCK = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
_SLOW = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

#: Seconds above which a lock counts as contended: more than one undisturbed round trip to Redis.
LOCK_WAITED = 0.005

_route = label("route", limit=400)
_method = label("method", *METHODS)
_queue = label("queue", *QUEUES)
_kind = label("kind", limit=128)
_lock_kind = label("kind", limit=32)
_consumer = label("consumer", limit=32)

# -- requests -------------------------------------------------------------------------------------

#: `route` is the template ("/v1/products/{product_id}"), `status` the three digits.
http_requests_total = counter(
    "http_requests_total", "Answered HTTP requests", _route, _method, label("status", limit=64)
)
http_request_duration_seconds = histogram(
    "http_request_duration_seconds", "From the first byte read to the last byte given to the server",
    _route, _method, buckets=_FAST,
)  # fmt: skip
http_requests_in_flight = plain_gauge("http_requests_in_flight", "Requests being worked on")
#: `reason`: concurrency (the queue was full), queue_wait (it took too long), displaced (by a more urgent one),
#: draining.
http_requests_shed_total = counter(
    "http_requests_shed_total", "Requests refused with 503 before any work",
    label("reason", "concurrency", "queue_wait", "displaced", "draining"),
    label("rank", "write", "read", "report", "background"),
)  # fmt: skip
#: `code` of the problem document: one of the published catalogue.
http_problems_total = counter("http_problems_total", "Problem documents by their code", label("code", limit=200))
#: `limit`: user, key, tenant, address, sign_in, concurrency.
rate_limited_total = counter(
    "rate_limited_total", "Requests refused with 429 by the limit that refused them",
    label("limit", "user", "key", "tenant", "address", "sign_in", "concurrency"),
)  # fmt: skip
rate_limit_local_total = plain_counter(
    "rate_limit_local_total", "Requests admitted by the local approximate limiter, Redis being away"
)
#: `quota`: requests_per_month, and what keeps streams and imports out. Those the database refuses are problems of the
#: code quota-exceeded.
quota_refusals_total = counter(
    "quota_refusals_total", "Requests refused because a metered quota is used up",
    label("quota", "requests_per_month", "job_seconds_per_month", "rows", "storage_bytes"),
)  # fmt: skip
metering_writes_total = counter(
    "metering_writes_total", "Sums of usage sent to PostgreSQL, a statement per database",
    label("outcome", "written", "failed"),
)  # fmt: skip
#: `outcome`: stored, replayed, reused (other request, 422), in_flight (409).
idempotency_total = counter(
    "idempotency_total", "Requests with an Idempotency-Key",
    label("outcome", "stored", "replayed", "reused", "in_flight"),
)  # fmt: skip

# -- PostgreSQL -----------------------------------------------------------------------------------

#: `outcome`: committed, refused (a rule), retried, contention (gave up), unknown, failed.
db_transactions_total = counter(
    "db_transactions_total", "Transactions on the primary",
    label("outcome", "committed", "refused", "retried", "contention", "unknown", "failed"),
)  # fmt: skip
db_transaction_duration_seconds = histogram(
    "db_transaction_duration_seconds", "One attempt of a command's transaction",
    label("outcome", "committed", "rolled_back"), buckets=_FAST,
)  # fmt: skip
db_transaction_retries_total = counter(
    "db_transaction_retries_total", "Whole commands run again after a collision",
    label(
        "reason", "DeadlockDetected", "SerializationFailure", "LockNotAvailable", "InvalidSqlStatementName",
    ),
)  # fmt: skip
replica_lag_seconds = gauge(
    "replica_lag_seconds", "Age of the oldest position the replica has not replayed", label("replica")
)
replica_eligible = gauge("replica_eligible", "1 while the replica may serve reads", label("replica"))
#: `target`: replica or primary; `reason` why: current, waited, asked, behind, none_eligible, failed_over.
read_routing_total = counter(
    "read_routing_total", "Where reads went and why", label("target", "replica", "primary"),
    label("reason", "current", "waited", "asked", "behind", "none_eligible", "failed_over"),
)  # fmt: skip

# -- Redis, locks, cache --------------------------------------------------------------------------

#: `use`: queue, cache, locks, sessions, limits.
redis_degraded = gauge(
    "redis_degraded", "1 while this use of Redis is done without it",
    label("use", "queue", "cache", "locks", "sessions", "limits"),
)  # fmt: skip
#: `mode`: redis, handed_over (inside the process), degraded (without Redis).
distributed_locks_acquired_total = counter(
    "distributed_locks_acquired_total", "Lock sets taken", _lock_kind,
    label("mode", "redis", "handed_over", "degraded"),
)  # fmt: skip
distributed_locks_contended_total = counter(
    "distributed_locks_contended_total", "Lock sets that had to be waited for", _lock_kind
)
#: `reason`: timeout, lost (expired or forced while held), release_failed.
distributed_locks_failed_total = counter(
    "distributed_locks_failed_total", "Locks not obtained, or not kept", _lock_kind,
    label("reason", "timeout", "lost", "release_failed"),
)  # fmt: skip
distributed_lock_wait_seconds = histogram(
    "distributed_lock_wait_seconds", "Waited for a lock set, in vain or not", _lock_kind, buckets=_LOCK
)
distributed_lock_held_seconds = histogram(
    "distributed_lock_held_seconds", "From acquired to released", _lock_kind, buckets=_LOCK
)
#: `result`: hit, waited (another instance was filling), miss, missing (loaded, and there is no such record),
#: refused (something changed while it was loaded), lost (memory emptied: changes could not be heard).
cache_requests_total = counter(
    "cache_requests_total", "Cache look-ups", _kind, label("level", "memory", "redis", "database"),
    label("result", "hit", "waited", "miss", "missing", "refused", "lost"),
)  # fmt: skip
cache_invalidation_events_total = plain_counter(
    "cache_invalidation_events_total", "Sets of tags invalidated by this process"
)

# -- queues, jobs, events -------------------------------------------------------------------------

queue_depth = gauge("queue_depth", "Jobs that could run now and do not yet", _queue)
queue_running = gauge("queue_running", "Jobs a worker holds, those of workers that just died included", _queue)
#: The autoscaler's signal: whoever reports it reports it for every queue, 0 when nothing waits.
erp_queue_latency_seconds = gauge(
    "erp_queue_latency_seconds", "How long the oldest runnable job of the queue has waited", _queue
)
#: `outcome`: done, failed (will be tried again), dead (gave up), fenced (a zombie's result, refused), cancelled,
#: put_off (waits for something and is begun again).
jobs_total = counter(
    "jobs_total", "Finished attempts", _queue, _kind,
    label("outcome", "done", "failed", "dead", "fenced", "cancelled", "put_off"),
)  # fmt: skip
job_duration_seconds = histogram(
    "job_duration_seconds", "One attempt, from start to its recorded end", _queue, _kind, buckets=_SLOW
)
job_wait_seconds = histogram("job_wait_seconds", "From runnable to started", _queue, buckets=(*_SLOW, 900.0))
job_retries_total = counter("job_retries_total", "Attempts after the first", _queue, _kind)
#: They wait for a running job of their tenant to end (`jobs.max_running`).
jobs_put_back_total = counter("jobs_put_back_total", "Claims refused because the tenant was at its cap", _queue)
jobs_running = gauge("jobs_running", "Attempts under way in this process", _queue)
dead_jobs = gauge("dead_jobs", "Jobs in the failed-jobs table", _queue)
outbox_unpublished = plain_gauge("outbox_unpublished", "Committed events the relay has not published")
outbox_lag_seconds = plain_gauge("outbox_lag_seconds", "Age of the oldest unpublished event")
outbox_published_total = plain_counter("outbox_published_total", "Events published, duplicates included")

#: `outcome`: applied, repeated (had its effect already), failed (will be tried again), dead (waits for a decision),
#: left (for a later pass: the tenant has had its time, or another holds its read model).
event_deliveries_total = counter(
    "event_deliveries_total", "Events handed to consumers of the bus", _consumer,
    label("outcome", "applied", "repeated", "failed", "dead", "left"),
)  # fmt: skip
#: What a read model shows may be so much older than the tables.
event_consumer_lag_seconds = gauge(
    "event_consumer_lag_seconds", "Since the consumer last had confirmed everything committed by then", _consumer,
    label("database"),
)  # fmt: skip
event_dead_letters = gauge(
    "event_dead_letters", "Events that wait for somebody's decision", _consumer, label("database")
)
event_refed_total = counter(
    "event_refed_total", "Events delivered from PostgreSQL because the stream had not", _consumer
)
#: `kind`: events, projections. From the leading coordinator.
event_verifications_differing = gauge(
    "event_verifications_differing", "Tenants whose newest verification found a difference",
    label("kind", "events", "projections"),
)  # fmt: skip

# -- fleet ----------------------------------------------------------------------------------------

#: `kind`: saga, two_phase.
distributed_transactions_total = counter(
    "distributed_transactions_total", "Transactions over several steps or databases by final state",
    label("kind", "saga", "two_phase"),
    label("outcome", "started", "completed", "compensated", "aborted", "needs_operator"),
)  # fmt: skip
two_phase_prepared = gauge("two_phase_prepared", "Prepared transactions nobody has ended yet", label("database"))
two_phase_oldest_seconds = gauge(
    "two_phase_oldest_seconds", "Age of the oldest prepared transaction; it keeps its locks", label("database")
)
two_phase_unreachable = gauge(
    "two_phase_unreachable", "1 while the database cannot be asked for its prepared transactions", label("database")
)
#: What a dead coordinator had left.
two_phase_recovered_total = counter(
    "two_phase_recovered_total", "Participants ended by recovery", label("outcome", "committed", "aborted")
)
#: `outcome`: passed, failed, abandoned (the caller's own time was over), refused (open: nobody was asked).
circuit_breaker_calls_total = counter(
    "circuit_breaker_calls_total", "Calls to a neighbour through its circuit breaker", label("dependency"),
    label("outcome", "passed", "failed", "abandoned", "refused"),
)  # fmt: skip
circuit_breaker_open = gauge("circuit_breaker_open", "1 while the neighbour is not asked", label("dependency"))
circuit_breaker_opened_total = counter(
    "circuit_breaker_opened_total", "Times the breaker opened or stayed open after a probe", label("dependency")
)
outside_retries_total = counter(
    "outside_retries_total", "Repeats of outside calls, and those the budget refused", label("dependency"),
    label("outcome", "made", "refused"),
)  # fmt: skip
saga_step_duration_seconds = histogram(
    "saga_step_duration_seconds", "One attempt of a saga's step or compensation, outside call included",
    label("step"), label("outcome", "done", "failed", "unknown", "refused"), buckets=_SLOW,
)  # fmt: skip
sagas_waiting = gauge("sagas_waiting", "Sagas that have not ended", label("state", "running", "needs_operator"))
instance_coordination_messages_total = counter(
    "instance_coordination_messages_total", "Messages between instances", _kind,
    label("direction", "sent", "received"),
)  # fmt: skip
instance_request_duration_seconds = histogram(
    "instance_request_duration_seconds", "One instance asking another, answered or not",
    label("outcome", "answered", "refused", "unreachable", "timeout"), buckets=_FAST,
)  # fmt: skip
instance_heartbeats_total = counter(
    "instance_heartbeats_total", "Heartbeats of this process to the registry", label("outcome", "sent", "failed")
)
#: From the leading coordinator; `lost`: gone without a farewell.
fleet_instances = gauge("fleet_instances", "Instances the registry shows", label("role"))
fleet_instances_lost_total = counter(
    "fleet_instances_lost_total", "Instances that fell silent without a farewell", label("role")
)
leader_election_attempts_total = counter(
    "leader_election_attempts_total", "Attempts to take or keep the lead",
    label("outcome", "won", "renewed", "lost", "refused", "failed"),
)  # fmt: skip
leader = plain_gauge("leader", "1 while this process leads the fleet")
leader_term = plain_gauge("leader_term", "The term of the lead as this process knows it")
leader_transfers_total = plain_counter("leader_transfers_total", "Leads handed over by an operator")
#: `outcome`: done, failed, skipped (another instance had the slot, or the policy says so).
scheduled_runs_total = counter(
    "scheduled_runs_total", "Runs of scheduled tasks", label("task"), label("outcome", "done", "failed", "skipped")
)
tenant_schedule_runs_total = counter(
    "tenant_schedule_runs_total", "Slots of tenants' schedules that were taken",
    label("trigger", "clock", "catch_up", "skipped"),
)  # fmt: skip
tenant_schedules_unreadable_total = counter(
    "tenant_schedules_unreadable_total", "Tenants' schedules the coordinator could not read",
    label("reason", "unknown_kind", "unreadable"),
)  # fmt: skip
#: The same number everywhere a second after a change; an instance that lags behind works with older values.
configuration_revision = gauge(
    "configuration_revision", "The newest configuration change of a database this process works with",
    label("database"),
)  # fmt: skip
configuration_changes_total = counter(
    "configuration_changes_total", "Changed configuration values applied by this process",
    label("scope", "system", "tenant"),
)  # fmt: skip
configuration_checks_total = counter(
    "configuration_checks_total", "Looks at the stored configuration", label("outcome", "confirmed", "failed")
)
configuration_confirmed_timestamp_seconds = plain_gauge(
    "configuration_confirmed_timestamp_seconds", "When this process last knew its configuration to be current"
)
configuration_propagation_seconds = Histogram(
    "configuration_propagation_seconds", "From a change's commit until this process works with it",
    buckets=_FAST, registry=REGISTRY,
)  # fmt: skip
configuration_refused_values = plain_gauge(
    "configuration_refused_values", "Stored values this release does not take; the last good ones hold"
)
#: 1 healthy, 0.5 degraded, 0 unhealthy, as the last health report of this process says.
health_check_status = gauge("health_check_status", "Result of each health check", label("check"))
event_loop_lag_seconds = plain_gauge("event_loop_lag_seconds", "How late the event loop's last heartbeat was")
log_events_total = counter(
    "log_events_total", "Log lines at warning and above", label("level", "warning", "error", "critical")
)
build_info = gauge("build_info", "1, with what runs here", label("version"), label("role"))

_pools = PoolCollector()
REGISTRY.register(_pools)
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

watch_pool = _pools.watch
unwatch_pool = _pools.unwatch
pool_stats = _pools.stats


def observe_request(route: str, method: str, status: int, seconds: float) -> None:
    """One answered request: counts it and its duration."""
    http_requests_total.at(route, method, str(status)).inc()
    http_request_duration_seconds.at(route, method).observe(seconds)
