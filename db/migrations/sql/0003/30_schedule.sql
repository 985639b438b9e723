-- What runs by the clock: the system's own tasks, and each tenant's schedules.

-- How a slot came to be taken: on time, made up for, asked for by hand, or left out on purpose.
ALTER TABLE cron_runs
    ADD COLUMN trigger text NOT NULL DEFAULT 'clock',
    ADD COLUMN missed integer NOT NULL DEFAULT 0,
    ADD CONSTRAINT cron_runs_trigger_check CHECK (trigger IN ('clock', 'catch_up', 'manual', 'skipped')),
    ADD CONSTRAINT cron_runs_missed_check CHECK (missed >= 0);
CREATE INDEX cron_runs_by_started ON cron_runs (started_at, job);

-- What the code declares (`declared_*`, `every`), and what the operator wants instead. `settled_to`: slots up to
-- here are done or left out. A row an older program does not know of changes nothing for it.
CREATE TABLE system_schedules (
    job                text NOT NULL,
    every              double precision,
    declared_cron      text,
    declared_time_zone text,
    declared_missed    text NOT NULL,
    cron               text,
    time_zone          text,
    missed             text,
    enabled            boolean NOT NULL DEFAULT true,
    settled_to         timestamptz NOT NULL DEFAULT clock_timestamp(),
    requested_at       timestamptz,
    reason             text NOT NULL DEFAULT '',
    version            integer NOT NULL DEFAULT 1,
    changed_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT system_schedules_pkey PRIMARY KEY (job),
    CONSTRAINT system_schedules_rhythm_check CHECK ((every IS NULL) <> (declared_cron IS NULL)),
    CONSTRAINT system_schedules_missed_check CHECK (missed IN ('skip', 'run_once', 'run_all'))
);
GRANT SELECT, INSERT, UPDATE ON system_schedules TO erp_platform;

-- A tenant's own. `next_at` is the next slot nobody has looked at yet; null when there is none.
CREATE TABLE schedules (
    tenant_id  uuid NOT NULL REFERENCES tenants,
    id         uuid NOT NULL,
    name       text NOT NULL,
    kind       text NOT NULL,
    parameters jsonb NOT NULL DEFAULT '{}',
    cron       text NOT NULL,
    time_zone  text NOT NULL,
    missed     text NOT NULL DEFAULT 'run_once',
    enabled    boolean NOT NULL DEFAULT true,
    next_at    timestamptz,
    settled_to timestamptz NOT NULL DEFAULT now(),
    version    integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT schedules_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT schedules_name_key UNIQUE (tenant_id, name),
    CONSTRAINT schedules_missed_check CHECK (missed IN ('skip', 'run_once', 'run_all')),
    CONSTRAINT schedules_next_check CHECK (enabled = (next_at IS NOT NULL)),
    CONSTRAINT schedules_version_check CHECK (version > 0)
);
CREATE INDEX schedules_due ON schedules (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX schedules_by_created ON schedules (tenant_id, created_at, id);

-- One row a slot, whoever looks how often: its key decides who leaves the job.
CREATE TABLE schedule_runs (
    tenant_id   uuid NOT NULL,
    id          uuid NOT NULL,
    schedule_id uuid NOT NULL,
    slot        timestamptz NOT NULL,
    trigger     text NOT NULL,
    missed      integer NOT NULL DEFAULT 0,
    job_id      uuid,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT schedule_runs_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT schedule_runs_slot_key UNIQUE (tenant_id, schedule_id, slot),
    CONSTRAINT schedule_runs_schedule FOREIGN KEY (tenant_id, schedule_id)
        REFERENCES schedules (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT schedule_runs_trigger_check CHECK (trigger IN ('clock', 'catch_up', 'manual', 'skipped')),
    CONSTRAINT schedule_runs_missed_check CHECK (missed >= 0),
    CONSTRAINT schedule_runs_job_check CHECK ((trigger = 'skipped') = (job_id IS NULL))
);
CREATE INDEX schedule_runs_by_created ON schedule_runs (tenant_id, created_at, id);
CREATE INDEX schedule_runs_by_schedule ON schedule_runs (tenant_id, schedule_id, created_at, id);
CREATE INDEX schedule_runs_by_age ON schedule_runs (created_at);

-- The coordinator looks across tenants; what it may change is when, never what.
GRANT SELECT, UPDATE (next_at, settled_to) ON schedules TO erp_platform;
GRANT SELECT, INSERT, DELETE ON schedule_runs TO erp_platform;
CREATE POLICY platform_crossing ON schedules TO erp_platform USING (true) WITH CHECK (true);
CREATE POLICY platform_crossing ON schedule_runs TO erp_platform USING (true) WITH CHECK (true);
