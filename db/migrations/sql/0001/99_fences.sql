-- The second fence: row-level security on every table that holds tenants' rows, for the owner too.
-- A missing tenant setting reads '' after its first use in a connection; nullif turns both into no rows.

DO $$
DECLARE
    owned record;
BEGIN
    FOR owned IN
        SELECT c.oid::regclass AS name
        FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
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
    FOREACH history IN ARRAY ARRAY[
        'events', 'audit_entries', 'stock_moves', 'journal_entries', 'journal_lines', 'allocations', 'invoice_reminders',
        'number_voids', 'goods_receipts', 'goods_receipt_lines', 'supplier_bill_lines',
        'stock_adjustments', 'stock_adjustment_lines', 'sales_returns', 'sales_return_lines'
    ]
    LOOP
        IF to_regclass(history) IS NOT NULL THEN
            EXECUTE format('REVOKE UPDATE, DELETE ON %I FROM erp_app', history);
        END IF;
    END LOOP;
END $$;

-- The platform role crosses tenants, but only on the tables that carry work between processes.
DO $$
DECLARE
    crossed record;
BEGIN
    FOR crossed IN
        SELECT * FROM (VALUES
            ('tenants', 'SELECT, INSERT, UPDATE'),
            ('events', 'SELECT, UPDATE (published_at)'),
            ('jobs', 'SELECT, INSERT, UPDATE, DELETE'),
            ('idempotency_keys', 'SELECT, DELETE'),
            ('reservations', 'SELECT'),
            ('leases', 'SELECT, INSERT, UPDATE'),
            ('cron_runs', 'SELECT, INSERT, UPDATE, DELETE')
        ) AS crossings (name, privileges)
        WHERE to_regclass(name) IS NOT NULL
    LOOP
        EXECUTE format('GRANT %s ON %I TO erp_platform', crossed.privileges, crossed.name);
        IF (SELECT relrowsecurity FROM pg_class WHERE oid = crossed.name::regclass) THEN
            EXECUTE format('CREATE POLICY platform_crossing ON %I TO erp_platform USING (true) WITH CHECK (true)',
                           crossed.name);
        END IF;
    END LOOP;
END $$;

GRANT USAGE ON SCHEMA public TO erp_app, erp_platform;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO erp_app, erp_platform;
GRANT SELECT ON alembic_version TO erp_app, erp_platform;
GRANT SELECT, INSERT, UPDATE ON leases TO erp_app;
