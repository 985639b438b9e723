-- What is configured while the fleet runs. A scope is a tenant, or the platform itself under the id of all zeros,
-- which no tenant has. Values are checked against the keys declared in code; here they are any JSON.

-- One row a scope: its lock puts the scope's changes in one order, `version` counts them without a gap. Version 1 is
-- the state before the first change.
CREATE TABLE configuration_scopes (
    tenant_id uuid NOT NULL,
    version   integer NOT NULL DEFAULT 1,
    CONSTRAINT configuration_scopes_pkey PRIMARY KEY (tenant_id),
    CONSTRAINT configuration_scopes_version_check CHECK (version > 0)
);

-- What is set now. A value that was taken back stays as a row without one: its version must not begin again.
CREATE TABLE configuration_entries (
    tenant_id uuid NOT NULL,
    key       text NOT NULL,
    value     jsonb,
    version   integer NOT NULL,
    CONSTRAINT configuration_entries_pkey PRIMARY KEY (tenant_id, key),
    CONSTRAINT configuration_entries_key_check CHECK (key ~ '^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$'),
    CONSTRAINT configuration_entries_value_check CHECK (jsonb_typeof(value) IN ('number', 'string', 'boolean')),
    CONSTRAINT configuration_entries_version_check CHECK (version > 1)
);

-- Every change ever made, one row a key: who, when, why, from what to what. Written once.
CREATE TABLE configuration_changes (
    tenant_id      uuid NOT NULL,
    id             uuid NOT NULL,
    version        integer NOT NULL,
    key            text NOT NULL,
    revision       bigint NOT NULL,
    action         text NOT NULL,
    before         jsonb,
    after          jsonb,
    reason         text NOT NULL,
    principal_id   uuid NOT NULL,
    principal_kind text NOT NULL,
    principal_name text NOT NULL,
    correlation_id text NOT NULL,
    at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT configuration_changes_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT configuration_changes_version_key UNIQUE (tenant_id, version, key),
    CONSTRAINT configuration_changes_action_check CHECK (action IN ('changed', 'rolled_back', 'imported'))
);
CREATE INDEX configuration_changes_by_version ON configuration_changes (tenant_id, version, id);
CREATE INDEX configuration_changes_by_key ON configuration_changes (tenant_id, key, version, id);
CREATE INDEX configuration_changes_by_revision ON configuration_changes (revision);

-- The number of the newest change of all scopes, one row. Whoever changes something holds it until the commit, so
-- that numbers become visible in their order: who has seen revision n has seen all before it.
CREATE TABLE configuration_head (
    single   boolean NOT NULL DEFAULT true,
    revision bigint NOT NULL DEFAULT 0,
    CONSTRAINT configuration_head_pkey PRIMARY KEY (single),
    CONSTRAINT configuration_head_single_check CHECK (single)
);
INSERT INTO configuration_head DEFAULT VALUES;

GRANT SELECT, UPDATE ON configuration_head TO erp_app;
GRANT SELECT ON configuration_head TO erp_platform;
