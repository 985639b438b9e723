-- What tenants use and how much of it they may. Requests and job seconds arrive as sums every few seconds, never a row a
-- request; rows and storage are measured once a day; products, parties and keys are counted as they come.

CREATE TABLE usage_months (
    tenant_id     uuid NOT NULL,
    month         date NOT NULL,
    requests      bigint NOT NULL DEFAULT 0,
    job_ms        bigint NOT NULL DEFAULT 0,
    rows          bigint,
    storage_bytes bigint,
    measured_at   timestamptz,
    CONSTRAINT usage_months_pkey PRIMARY KEY (tenant_id, month),
    CONSTRAINT usage_months_month_check CHECK (extract(day FROM month) = 1),
    CONSTRAINT usage_months_check CHECK (requests >= 0 AND job_ms >= 0 AND rows >= 0 AND storage_bytes >= 0)
) WITH (fillfactor = 70);

-- One tenant's own quotas, over those of its plan: {"products": 500, "parties": null}; null lifts the plan's.
CREATE TABLE tenant_quotas (
    tenant_id  uuid NOT NULL,
    version    integer NOT NULL,
    quotas     jsonb NOT NULL,
    reason     text NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT tenant_quotas_pkey PRIMARY KEY (tenant_id),
    CONSTRAINT tenant_quotas_version_check CHECK (version > 0),
    CONSTRAINT tenant_quotas_quotas_check CHECK (jsonb_typeof(quotas) = 'object')
);

-- Those of a plan, every version that ever was; the newest holds. `default` holds for whatever a plan does not name.
-- `fence`: of the lock it was written under; one that has been overtaken writes nothing.
CREATE TABLE plan_quotas (
    plan       text NOT NULL,
    version    integer NOT NULL,
    quotas     jsonb NOT NULL,
    reason     text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    fence      bigint NOT NULL DEFAULT 0,
    CONSTRAINT plan_quotas_pkey PRIMARY KEY (plan, version),
    CONSTRAINT plan_quotas_version_check CHECK (version > 0),
    CONSTRAINT plan_quotas_quotas_check CHECK (jsonb_typeof(quotas) = 'object')
);
INSERT INTO plan_quotas (plan, version, quotas, reason) VALUES ('default', 1, '{"api_keys": 1000}', 'Shipped');
GRANT SELECT ON plan_quotas TO erp_app;
GRANT SELECT, INSERT ON plan_quotas TO erp_platform;

-- One row a lock of work that takes several transactions. Its number only grows, whatever becomes of Redis.
CREATE TABLE lock_fences (
    tenant_id uuid NOT NULL,
    lock_name text NOT NULL,
    fence     bigint NOT NULL,
    CONSTRAINT lock_fences_pkey PRIMARY KEY (tenant_id, lock_name),
    CONSTRAINT lock_fences_fence_check CHECK (fence > 0)
);

-- How many rows of a kind a tenant has, in stripes: rivals that create at the same moment mostly update different ones.
CREATE TABLE row_counts (
    tenant_id uuid NOT NULL,
    kind      text NOT NULL,
    stripe    smallint NOT NULL,
    rows      bigint NOT NULL,
    CONSTRAINT row_counts_pkey PRIMARY KEY (tenant_id, kind, stripe)
) WITH (fillfactor = 50);

GRANT SELECT, INSERT, UPDATE ON usage_months TO erp_platform;
GRANT SELECT ON tenant_quotas TO erp_platform;
CREATE POLICY platform_crossing ON usage_months TO erp_platform USING (true) WITH CHECK (true);
CREATE POLICY platform_crossing ON tenant_quotas TO erp_platform USING (true) WITH CHECK (true);

-- The record was changed after it was read: whoever read it begins again, as after any serialization failure.
CREATE FUNCTION refuse_stale() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'changed since it was read' USING ERRCODE = 'serialization_failure';
END $$;

CREATE FUNCTION plan_quotas_of(wanted text) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT quotas FROM plan_quotas WHERE plan = wanted ORDER BY version DESC LIMIT 1
$$;

-- What holds for a tenant: the default, the plan's over it, its own over both. NULL for a tenant there is not.
CREATE FUNCTION quotas_of(tenant uuid) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT coalesce(plan_quotas_of('default'), '{}') || coalesce(plan_quotas_of(t.plan), '{}')
        || coalesce((SELECT own.quotas FROM tenant_quotas own WHERE own.tenant_id = t.tenant_id), '{}')
    FROM tenants t WHERE t.tenant_id = tenant
$$;

CREATE FUNCTION refuse_quota(kind text, allowed bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The quota of % % is used up.', allowed, kind
        USING ERRCODE = 'check_violation', CONSTRAINT = 'quota_' || kind;
END $$;

-- Counts what a statement added, within its transaction. Far from the quota nobody waits for anybody. Near it (nearer
-- than what can be under way unseen) creators come one after the other, and each sees what the one before it left.
CREATE FUNCTION count_added() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    added   record;
    counted text := TG_ARGV[0];
    allowed bigint;
    unseen  CONSTANT bigint := 10000;
BEGIN
    FOR added IN SELECT tenant_id, count(*) AS n FROM changed GROUP BY tenant_id LOOP
        allowed := (quotas_of(added.tenant_id) ->> counted)::bigint;
        IF allowed < unseen + added.n + (
            SELECT coalesce(sum(rows), 0) FROM row_counts WHERE tenant_id = added.tenant_id AND kind = counted
        ) THEN
            PERFORM pg_advisory_xact_lock(hashtextextended(counted || added.tenant_id, 0));
            PERFORM FROM row_counts WHERE tenant_id = added.tenant_id AND kind = counted ORDER BY stripe FOR UPDATE;
            IF allowed < added.n + (
                SELECT coalesce(sum(rows), 0) FROM row_counts WHERE tenant_id = added.tenant_id AND kind = counted
            ) THEN
                PERFORM refuse_quota(counted, allowed);
            END IF;
        END IF;
        INSERT INTO row_counts AS c (tenant_id, kind, stripe, rows)
        VALUES (added.tenant_id, counted, pg_backend_pid() % 32, added.n)
        ON CONFLICT (tenant_id, kind, stripe) DO UPDATE SET rows = c.rows + excluded.rows;
    END LOOP;
    RETURN NULL;
END $$;

CREATE FUNCTION count_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO row_counts AS c (tenant_id, kind, stripe, rows)
    SELECT tenant_id, TG_ARGV[0], pg_backend_pid() % 32, -count(*) FROM changed GROUP BY tenant_id
    ON CONFLICT (tenant_id, kind, stripe) DO UPDATE SET rows = c.rows + excluded.rows;
    RETURN NULL;
END $$;

-- Keys are few and end: they are counted when one is added.
CREATE FUNCTION count_active_keys() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    owner   uuid;
    allowed bigint;
BEGIN
    FOR owner IN SELECT DISTINCT tenant_id FROM changed LOOP
        allowed := (quotas_of(owner) ->> 'api_keys')::bigint;
        IF allowed IS NOT NULL THEN
            PERFORM pg_advisory_xact_lock(hashtextextended('api_keys' || owner, 0));
            IF allowed < (SELECT count(*) FROM api_keys WHERE tenant_id = owner AND state = 'active') THEN
                PERFORM refuse_quota('api_keys', allowed);
            END IF;
        END IF;
    END LOOP;
    RETURN NULL;
END $$;

CREATE TRIGGER products_added AFTER INSERT ON products REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_added('products');
CREATE TRIGGER products_removed AFTER DELETE ON products REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_removed('products');
CREATE TRIGGER parties_added AFTER INSERT ON parties REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_added('parties');
CREATE TRIGGER parties_removed AFTER DELETE ON parties REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_removed('parties');
CREATE TRIGGER api_keys_added AFTER INSERT ON api_keys REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_active_keys();

-- What is there already. The triggers above keep others from adding until this is committed; the owner, whom the fence
-- binds too, is let through for the moment.
ALTER TABLE products NO FORCE ROW LEVEL SECURITY;
ALTER TABLE parties NO FORCE ROW LEVEL SECURITY;
INSERT INTO row_counts SELECT tenant_id, 'products', 0, count(*) FROM products GROUP BY tenant_id;
INSERT INTO row_counts SELECT tenant_id, 'parties', 0, count(*) FROM parties GROUP BY tenant_id;
ALTER TABLE parties FORCE ROW LEVEL SECURITY;
ALTER TABLE products FORCE ROW LEVEL SECURITY;

-- A tenant's rows of every table, and its share of what the tables take on disk (indexes and long values included).
CREATE FUNCTION measure_tenant(tenant uuid, OUT rows bigint, OUT bytes bigint) LANGUAGE plpgsql STABLE AS $$
DECLARE
    owned record;
    found bigint;
BEGIN
    rows := 0;
    bytes := 0;
    FOR owned IN
        SELECT c.oid::regclass AS name, greatest(c.reltuples, 1) AS held, pg_total_relation_size(c.oid) AS size
        FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
            AND has_table_privilege(c.oid, 'SELECT')
    LOOP
        EXECUTE format('SELECT count(*) FROM %s WHERE tenant_id = $1', owned.name) INTO found USING tenant;
        rows := rows + found;
        bytes := bytes + (owned.size * least(1, found / greatest(owned.held, found)))::bigint;
    END LOOP;
END $$;
