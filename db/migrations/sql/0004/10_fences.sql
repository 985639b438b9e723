-- The fence as an expression instead of a subquery. Both are computed once a scan, because every statement compares
-- tenant_id with its parameter too and the planner makes one condition of the two; a subquery costs a plan node, its
-- set-up and a parameter for each table of each statement on top. Measured: deploy/decisions/0024.

DO $$
DECLARE
    fenced record;
BEGIN
    FOR fenced IN
        SELECT polrelid::regclass AS name FROM pg_policy WHERE polname = 'tenant_fence' ORDER BY polrelid
    LOOP
        EXECUTE format(
            'ALTER POLICY tenant_fence ON %s'
            ' USING (tenant_id = nullif(current_setting(''app.tenant_id'', true), '''')::uuid)'
            ' WITH CHECK (tenant_id = nullif(current_setting(''app.tenant_id'', true), '''')::uuid)',
            fenced.name);
    END LOOP;
END $$;
