-- What would hinder the closing of a period, as it was when somebody looked. Never changed.
CREATE TABLE period_checks (
    tenant_id  uuid NOT NULL,
    id         uuid NOT NULL,
    period_id  uuid NOT NULL,
    hinders    boolean NOT NULL,
    findings   jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT period_checks_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT period_checks_period FOREIGN KEY (tenant_id, period_id) REFERENCES periods (tenant_id, id)
);
CREATE INDEX period_checks_by_created ON period_checks (tenant_id, created_at, id);
CREATE INDEX period_checks_by_period ON period_checks (tenant_id, period_id, created_at, id);
