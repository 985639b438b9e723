-- The tables this revision adds get the fence of the first one: row-level security, forced for the owner too.

DO $$
DECLARE
    owned record;
BEGIN
    FOR owned IN
        SELECT c.oid::regclass AS name
        FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relrowsecurity
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', owned.name);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', owned.name);
        EXECUTE format(
            'CREATE POLICY tenant_fence ON %s TO erp_app'
            ' USING (tenant_id = (SELECT nullif(current_setting(''app.tenant_id'', true), '''')::uuid))'
            ' WITH CHECK (tenant_id = (SELECT nullif(current_setting(''app.tenant_id'', true), '''')::uuid))',
            owned.name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO erp_app', owned.name);
    END LOOP;
END $$;

-- History is written once: no update, no delete, whatever the code above it does.
DO $$
DECLARE
    history text;
BEGIN
    -- The outbox is none, but who writes events may not take them out of the queue either.
    FOREACH history IN ARRAY ARRAY['outbox', 'cost_corrections', 'cost_correction_lines', 'configuration_changes', 'placements', 'intercompany_sales']::text[]
    LOOP
        EXECUTE format('REVOKE UPDATE, DELETE ON %I FROM erp_app', history);
    END LOOP;
END $$;

-- The platform role crosses tenants, but only on the tables that carry work between processes.
DO $$
DECLARE
    crossed record;
BEGIN
    FOR crossed IN
        SELECT * FROM (VALUES
            ('outbox', 'SELECT, UPDATE (position), DELETE'),  -- to lock a row is a right to update one
            ('configuration_entries', 'SELECT'),
            ('configuration_changes', 'SELECT'),
            ('saga_runs', 'SELECT'),
            ('', '')
        ) AS crossings (name, privileges)
        WHERE name <> ''
    LOOP
        EXECUTE format('GRANT %s ON %I TO erp_platform', crossed.privileges, crossed.name);
        IF (SELECT relrowsecurity FROM pg_class WHERE oid = crossed.name::regclass) THEN
            EXECUTE format('CREATE POLICY platform_crossing ON %I TO erp_platform USING (true) WITH CHECK (true)',
                           crossed.name);
        END IF;
    END LOOP;
END $$;

GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO erp_app, erp_platform;
