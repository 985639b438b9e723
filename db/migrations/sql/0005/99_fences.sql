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
