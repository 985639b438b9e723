-- Fewer index entries in a job's life. What a worker changes when it takes a job (state, attempts, fence, lease)
-- stands in no index any more, so that taking, renewing and progress stay on the row's own page (HOT).

-- The state as far as indexes need it: queued and running are one.
ALTER TABLE jobs SET (
    fillfactor = 70,
    -- Thirty days of history and a small live part: often enough for the live part, not per thousand rows, because
    -- every vacuum reads all indexes.
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0
);
DROP INDEX jobs_unfinished_key, jobs_to_enqueue, jobs_enqueued, jobs_waiting, jobs_leased, jobs_failed, jobs_finished,
    jobs_by_state;
ALTER TABLE jobs ADD COLUMN phase text NOT NULL
    GENERATED ALWAYS AS (CASE WHEN state IN ('queued', 'running') THEN 'unfinished' ELSE state END) STORED;

-- Lost workers are looked for among the jobs that have a message: as many as queues hold, whatever waits behind.
ALTER TABLE jobs NO FORCE ROW LEVEL SECURITY;
UPDATE jobs SET enqueued_at = coalesce(started_at, now()) WHERE state = 'running' AND enqueued_at IS NULL;
ALTER TABLE jobs FORCE ROW LEVEL SECURITY;

-- At most one unfinished job a key.
CREATE UNIQUE INDEX jobs_unfinished_key ON jobs (tenant_id, unique_key)
    WHERE phase = 'unfinished' AND unique_key IS NOT NULL;
CREATE INDEX jobs_to_enqueue ON jobs (queue, priority, run_at) WHERE phase = 'unfinished' AND enqueued_at IS NULL;
CREATE INDEX jobs_enqueued ON jobs (queue, enqueued_at) WHERE phase = 'unfinished' AND enqueued_at IS NOT NULL;
CREATE INDEX jobs_failed ON jobs (queue) WHERE phase = 'failed';
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE phase IN ('done', 'discarded');
CREATE INDEX jobs_by_phase ON jobs (tenant_id, phase, created_at, id);
