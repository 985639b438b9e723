-- Work over several steps of which some are done by others. What is to be done, and how it is undone, is written
-- before anybody outside is asked; what became of it is written by the holder of the newest fence only.
CREATE TABLE saga_runs (
    tenant_id      uuid NOT NULL REFERENCES tenants,
    id             uuid NOT NULL,
    kind           text NOT NULL,
    subject_type   text NOT NULL,
    subject_id     uuid NOT NULL,
    state          text NOT NULL DEFAULT 'running',
    direction      text NOT NULL DEFAULT 'forward',
    fence          bigint NOT NULL DEFAULT 0,
    input          jsonb NOT NULL DEFAULT '{}',
    attempts       integer NOT NULL DEFAULT 0,
    since          timestamptz NOT NULL DEFAULT clock_timestamp(),
    retry_at       timestamptz,
    job_id         uuid,
    error_code     text,
    error_detail   text,
    correlation_id text NOT NULL,
    version        integer NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL DEFAULT now(),
    finished_at    timestamptz,
    CONSTRAINT saga_runs_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT saga_runs_state_check
        CHECK (state IN ('running', 'compensating', 'completed', 'compensated', 'needs_operator')),
    CONSTRAINT saga_runs_direction_check CHECK (direction IN ('forward', 'back')),
    CONSTRAINT saga_runs_finished_check CHECK ((state IN ('completed', 'compensated')) = (finished_at IS NOT NULL)),
    CONSTRAINT saga_runs_counts_check CHECK (fence >= 0 AND attempts >= 0 AND version > 0)
);
-- One at a time for a subject; after one that was taken back there may be another, after a completed one not.
CREATE UNIQUE INDEX saga_runs_subject_key ON saga_runs (tenant_id, kind, subject_id) WHERE state <> 'compensated';
CREATE INDEX saga_runs_unfinished ON saga_runs (since) WHERE state IN ('running', 'compensating', 'needs_operator');
CREATE INDEX saga_runs_by_created ON saga_runs (tenant_id, created_at, id);
CREATE INDEX saga_runs_by_state ON saga_runs (tenant_id, state, created_at, id);
CREATE INDEX saga_runs_by_subject ON saga_runs (tenant_id, subject_id, created_at, id);

-- `key` and `undo_key` make what is asked of others one effect, however often it is asked. `undo` is the
-- compensation as it will be asked for, known before the step is.
CREATE TABLE saga_steps (
    tenant_id     uuid NOT NULL,
    saga_id       uuid NOT NULL,
    n             integer NOT NULL,
    name          text NOT NULL,
    state         text NOT NULL DEFAULT 'planned',
    key           text NOT NULL,
    undo_key      text NOT NULL,
    request       jsonb,
    undo          jsonb,
    result        jsonb,
    undo_result   jsonb,
    attempts      integer NOT NULL DEFAULT 0,
    undo_attempts integer NOT NULL DEFAULT 0,
    error_code    text,
    error_detail  text,
    started_at    timestamptz,
    finished_at   timestamptz,
    CONSTRAINT saga_steps_pkey PRIMARY KEY (tenant_id, saga_id, n),
    CONSTRAINT saga_steps_run_fkey FOREIGN KEY (tenant_id, saga_id) REFERENCES saga_runs (tenant_id, id),
    CONSTRAINT saga_steps_key UNIQUE (tenant_id, key),
    CONSTRAINT saga_steps_undo_key UNIQUE (tenant_id, undo_key),
    CONSTRAINT saga_steps_state_check
        CHECK (state IN ('planned', 'intended', 'done', 'refused', 'skipped', 'undoing', 'undone')),
    CONSTRAINT saga_steps_intention_check CHECK (state <> 'intended' OR (request IS NOT NULL AND undo IS NOT NULL)),
    CONSTRAINT saga_steps_counts_check CHECK (n > 0 AND attempts >= 0 AND undo_attempts >= 0)
);

-- When a customer is to be reminded of an invoice; one row an invoice.
CREATE TABLE reminder_schedules (
    tenant_id  uuid NOT NULL,
    id         uuid NOT NULL,
    invoice_id uuid NOT NULL,
    remind_on  date NOT NULL,
    version    integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT reminder_schedules_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT reminder_schedules_invoice_key UNIQUE (tenant_id, invoice_id),
    CONSTRAINT reminder_schedules_invoice_fkey FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoices (tenant_id, id),
    CONSTRAINT reminder_schedules_version_check CHECK (version > 0)
);

-- What followed from an event, by the request that began it all. What a request does itself is not in it, so that
-- requests do not pay for it.
CREATE INDEX events_caused ON events (tenant_id, correlation_id, position) WHERE causation_id IS NOT NULL;
