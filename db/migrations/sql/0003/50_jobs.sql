-- Fair queues, and long jobs as operations: progress, log, result and cancelling for the people of a tenant.

ALTER TABLE jobs
    -- An operation is a long job somebody follows. `done` of `total` in `unit`; `log_lines` written so far.
    ADD COLUMN operation boolean NOT NULL DEFAULT false,
    ADD COLUMN done bigint,
    ADD COLUMN total bigint,
    ADD COLUMN unit text,
    ADD COLUMN log_lines integer NOT NULL DEFAULT 0,
    ADD COLUMN result_location text,
    ADD COLUMN cancel_requested_at timestamptz,
    ADD CONSTRAINT jobs_progress_check CHECK (done >= 0 AND total >= 0 AND log_lines >= 0),
    DROP CONSTRAINT jobs_state_check,
    DROP CONSTRAINT jobs_finished_check,
    ADD CONSTRAINT jobs_state_check
        CHECK (state IN ('queued', 'running', 'done', 'failed', 'discarded', 'cancelled')),
    ADD CONSTRAINT jobs_finished_check
        CHECK ((state IN ('done', 'failed', 'discarded', 'cancelled')) = (finished_at IS NOT NULL));

-- Imports accepted so far are operations too. The fence binds the owner; it is lifted for this one statement.
ALTER TABLE jobs NO FORCE ROW LEVEL SECURITY;
UPDATE jobs SET operation = true, result_location = '/v1/jobs/' || id || '/rows' WHERE kind = 'bulk_import';
ALTER TABLE jobs FORCE ROW LEVEL SECURITY;

-- The queue by tenant: from one tenant with waiting jobs to the next is one step down the index, however many wait.
DROP INDEX jobs_to_enqueue, jobs_enqueued, jobs_finished;
CREATE INDEX jobs_to_enqueue ON jobs (queue, tenant_id, priority, run_at)
    WHERE phase = 'unfinished' AND enqueued_at IS NULL;
CREATE INDEX jobs_enqueued ON jobs (queue, tenant_id, enqueued_at)
    WHERE phase = 'unfinished' AND enqueued_at IS NOT NULL;
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE phase IN ('done', 'discarded', 'cancelled');
CREATE INDEX jobs_operations ON jobs (tenant_id, created_at, id) WHERE operation;

-- What an operation says while it runs, in the order it was said; written by whoever holds the job only.
CREATE TABLE operation_log (
    tenant_id    uuid NOT NULL,
    operation_id uuid NOT NULL,
    line         integer NOT NULL,
    at           timestamptz NOT NULL,
    level        text NOT NULL,
    message      text NOT NULL,
    CONSTRAINT operation_log_pkey PRIMARY KEY (tenant_id, operation_id, line),
    CONSTRAINT operation_log_job
        FOREIGN KEY (tenant_id, operation_id) REFERENCES jobs (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT operation_log_line_check CHECK (line > 0),
    CONSTRAINT operation_log_level_check CHECK (level IN ('info', 'warning', 'error')),
    CONSTRAINT operation_log_message_check CHECK (length(message) <= 1000)
);
