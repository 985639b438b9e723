-- The operator changes when a task of the system runs, and asks for a run, in the transaction that also remembers the
-- answer of its request: a repeated request finds that answer. What a task is remains the leader's to say.
GRANT SELECT, UPDATE (cron, time_zone, missed, enabled, reason, version, changed_at, settled_to, requested_at)
    ON system_schedules TO erp_app;
