-- Work that happens after the answer: jobs, their rows, the slots of the schedule, notices to people.

-- The row is the truth of a job; a message in Redis only says "look at this row now" and may be lost or doubled.
CREATE TABLE jobs (
    tenant_id      uuid NOT NULL REFERENCES tenants,
    id             uuid NOT NULL,
    queue          text NOT NULL DEFAULT 'default',
    kind           text NOT NULL,
    payload        jsonb NOT NULL DEFAULT '{}',
    state          text NOT NULL DEFAULT 'queued',
    priority       integer NOT NULL DEFAULT 100,
    attempts       integer NOT NULL DEFAULT 0,
    max_attempts   integer NOT NULL DEFAULT 3,
    fence          bigint NOT NULL DEFAULT 0,
    lease_until    timestamptz,
    run_at         timestamptz NOT NULL DEFAULT now(),
    enqueued_at    timestamptz,
    unique_key     text,
    event_id       uuid,
    slot           text,
    correlation_id text,
    causation_id   uuid,
    traceparent    text,
    progress       jsonb,
    result         jsonb,
    error_code     text,
    error_detail   text,
    traceback      text,
    version        integer NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL DEFAULT now(),
    started_at     timestamptz,
    finished_at    timestamptz,
    CONSTRAINT jobs_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT jobs_queue_check CHECK (queue IN ('high', 'default', 'low')),
    CONSTRAINT jobs_state_check CHECK (state IN ('queued', 'running', 'done', 'failed', 'discarded')),
    CONSTRAINT jobs_attempts_check CHECK (attempts >= 0 AND attempts <= max_attempts AND max_attempts > 0),
    CONSTRAINT jobs_lease_check CHECK ((state = 'running') = (lease_until IS NOT NULL)),
    CONSTRAINT jobs_finished_check CHECK ((state IN ('done', 'failed', 'discarded')) = (finished_at IS NOT NULL))
);
-- At most one unfinished job a key; at most one job ever for an event or a slot of the schedule and a kind.
CREATE UNIQUE INDEX jobs_unfinished_key ON jobs (tenant_id, unique_key) WHERE state IN ('queued', 'running');
CREATE UNIQUE INDEX jobs_event_key ON jobs (tenant_id, event_id, kind) WHERE event_id IS NOT NULL;
CREATE UNIQUE INDEX jobs_slot_key ON jobs (tenant_id, kind, slot) WHERE slot IS NOT NULL;
CREATE INDEX jobs_to_enqueue ON jobs (queue, priority, run_at) WHERE state = 'queued' AND enqueued_at IS NULL;
CREATE INDEX jobs_enqueued ON jobs (queue, enqueued_at) WHERE state = 'queued' AND enqueued_at IS NOT NULL;
CREATE INDEX jobs_waiting ON jobs (queue, run_at) WHERE state = 'queued';
CREATE INDEX jobs_leased ON jobs (lease_until) WHERE state = 'running';
CREATE INDEX jobs_failed ON jobs (queue) WHERE state = 'failed';
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE state IN ('done', 'discarded');
CREATE INDEX jobs_by_created ON jobs (tenant_id, created_at, id);
CREATE INDEX jobs_by_state ON jobs (tenant_id, state, created_at, id);

-- The parts of a job that consists of many (the lines of an import), each with its own outcome.
CREATE TABLE job_rows (
    tenant_id uuid NOT NULL,
    job_id    uuid NOT NULL,
    row_no    integer NOT NULL,
    body      bytea NOT NULL,
    outcome   text,
    status    integer,
    answer    jsonb,
    CONSTRAINT job_rows_pkey PRIMARY KEY (tenant_id, job_id, row_no),
    CONSTRAINT job_rows_job FOREIGN KEY (tenant_id, job_id) REFERENCES jobs (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT job_rows_outcome_check CHECK (outcome IN ('done', 'failed')),
    CONSTRAINT job_rows_status_check CHECK ((outcome IS NULL) = (status IS NULL))
);
CREATE INDEX job_rows_pending ON job_rows (tenant_id, job_id, row_no) WHERE outcome IS NULL;
CREATE INDEX job_rows_failed ON job_rows (tenant_id, job_id, row_no) WHERE outcome = 'failed';

-- Who inserts the slot runs the task: two leaders, one effect. `term` is the lease it was done under.
CREATE TABLE cron_runs (
    job         text NOT NULL,
    slot        timestamptz NOT NULL,
    term        bigint NOT NULL,
    holder      text NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    affected    bigint,
    CONSTRAINT cron_runs_pkey PRIMARY KEY (job, slot)
);
CREATE INDEX cron_runs_by_slot ON cron_runs (slot);

-- What the system has to tell the people of a tenant. `key` keeps a repeated job from saying it twice.
CREATE TABLE notices (
    tenant_id       uuid NOT NULL REFERENCES tenants,
    id              uuid NOT NULL,
    kind            text NOT NULL,
    key             text NOT NULL,
    title           text NOT NULL,
    subject_type    text NOT NULL,
    subject_id      uuid NOT NULL,
    data            jsonb NOT NULL DEFAULT '{}',
    state           text NOT NULL DEFAULT 'open',
    acknowledged_at timestamptz,
    version         integer NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT notices_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT notices_key UNIQUE (tenant_id, kind, key),
    CONSTRAINT notices_state_check CHECK (state IN ('open', 'acknowledged')),
    CONSTRAINT notices_acknowledged_check CHECK ((state = 'acknowledged') = (acknowledged_at IS NOT NULL))
);
CREATE INDEX notices_by_created ON notices (tenant_id, created_at, id);
CREATE INDEX notices_by_state ON notices (tenant_id, state, created_at, id);
