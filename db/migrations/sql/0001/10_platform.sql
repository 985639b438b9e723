-- Tenants, their callers, and what every command leaves behind: events, audit entries, stored answers.

CREATE TABLE tenants (
    tenant_id     uuid PRIMARY KEY,
    slug          text NOT NULL,
    name          text NOT NULL,
    plan          text NOT NULL DEFAULT 'standard',
    state         text NOT NULL DEFAULT 'active',
    base_currency text NOT NULL,
    country       text NOT NULL,
    time_zone     text NOT NULL,
    settings      jsonb NOT NULL DEFAULT '{}',
    version       integer NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT tenants_slug_key UNIQUE (slug),
    CONSTRAINT tenants_slug_check CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    CONSTRAINT tenants_state_check CHECK (state IN ('active', 'suspended', 'closed'))
);
CREATE INDEX tenants_by_created ON tenants (created_at, tenant_id);

CREATE TABLE api_keys (
    tenant_id    uuid NOT NULL REFERENCES tenants,
    id           uuid NOT NULL,
    prefix       text NOT NULL,
    secret_hash  bytea NOT NULL,
    name         text NOT NULL,
    role         text NOT NULL,
    scopes       text[] NOT NULL DEFAULT '{}',
    state        text NOT NULL DEFAULT 'active',
    expires_at   timestamptz,
    last_used_at timestamptz,
    created_by   uuid,
    version      integer NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT api_keys_prefix_key UNIQUE (tenant_id, prefix),
    CONSTRAINT api_keys_state_check CHECK (state IN ('active', 'revoked'))
);
CREATE INDEX api_keys_by_created ON api_keys (tenant_id, created_at, id);

-- No foreign keys to tenants from here on: every command writes these three, each check would lock the tenant's one
-- row for its transaction, and tenants are closed, never deleted.
CREATE TABLE events (
    tenant_id      uuid NOT NULL,
    position       bigint GENERATED ALWAYS AS IDENTITY,
    event_id       uuid NOT NULL,
    aggregate_type text NOT NULL,
    aggregate_id   uuid NOT NULL,
    version        integer NOT NULL,
    type           text NOT NULL,
    data           jsonb NOT NULL,
    principal_id   uuid,
    correlation_id text,
    causation_id   uuid,
    traceparent    text,
    occurred_at    timestamptz NOT NULL DEFAULT now(),
    published_at   timestamptz,
    PRIMARY KEY (tenant_id, aggregate_id, version),
    CONSTRAINT events_event_id_key UNIQUE (tenant_id, event_id)
);
CREATE INDEX events_unpublished ON events (position) WHERE published_at IS NULL;
CREATE INDEX events_unpublished_by_aggregate ON events (tenant_id, aggregate_id, version) WHERE published_at IS NULL;
CREATE INDEX events_by_position ON events (tenant_id, position);

CREATE TABLE audit_entries (
    tenant_id      uuid NOT NULL,
    id             uuid NOT NULL,
    at             timestamptz NOT NULL,
    principal_id   uuid NOT NULL,
    principal_kind text NOT NULL,
    principal_name text NOT NULL,
    address        text NOT NULL,
    action         text NOT NULL,
    target_type    text NOT NULL,
    target_id      uuid NOT NULL,
    before         jsonb,
    after          jsonb,
    correlation_id text NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX audit_entries_by_time ON audit_entries (tenant_id, at, id);
CREATE INDEX audit_entries_by_target ON audit_entries (tenant_id, target_id, at);

CREATE TABLE idempotency_keys (
    tenant_id    uuid NOT NULL,
    principal_id uuid NOT NULL,
    key          text NOT NULL,
    fingerprint  bytea NOT NULL,
    status       integer NOT NULL,
    body         bytea NOT NULL,
    headers      jsonb NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (tenant_id, principal_id, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- One holder at a time; the term rises with every change of holder and fences what the holder does.
CREATE TABLE leases (
    name       text PRIMARY KEY,
    holder     text NOT NULL,
    term       bigint NOT NULL,
    expires_at timestamptz NOT NULL,
    since      timestamptz NOT NULL DEFAULT now()
);
