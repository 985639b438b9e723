-- A quota on documents. They are written all the time, so nothing is counted for a tenant without such a quota: no row
-- is written and nobody waits. With one, the first document created counts what is there, later ones add to that; its
-- creators come one after the other, and the count is exact. Missed is what was under way when the quota came to hold,
-- until the next count (once a day). Documents are never removed.

CREATE INDEX plan_quotas_on_documents ON plan_quotas (plan) WHERE quotas ? 'documents';

CREATE FUNCTION documents_of(tenant uuid) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT (SELECT count(*) FROM sales_orders WHERE tenant_id = tenant)
        + (SELECT count(*) FROM deliveries WHERE tenant_id = tenant)
        + (SELECT count(*) FROM sales_returns WHERE tenant_id = tenant)
        + (SELECT count(*) FROM invoices WHERE tenant_id = tenant)
        + (SELECT count(*) FROM payments WHERE tenant_id = tenant)
        + (SELECT count(*) FROM purchase_orders WHERE tenant_id = tenant)
        + (SELECT count(*) FROM goods_receipts WHERE tenant_id = tenant)
        + (SELECT count(*) FROM supplier_bills WHERE tenant_id = tenant)
        + (SELECT count(*) FROM stock_adjustments WHERE tenant_id = tenant)
$$;

CREATE FUNCTION count_documents() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    added   record;
    allowed bigint;
    held    bigint;
BEGIN
    FOR added IN SELECT tenant_id, count(*) AS n FROM changed GROUP BY tenant_id LOOP
        allowed := NULL;
        -- Two looks that mostly find nothing, instead of putting the tenant's quotas together for every document.
        IF EXISTS (SELECT FROM plan_quotas WHERE quotas ? 'documents')
            OR EXISTS (SELECT FROM tenant_quotas WHERE tenant_id = added.tenant_id AND quotas ? 'documents')
        THEN
            allowed := (quotas_of(added.tenant_id) ->> 'documents')::bigint;
        END IF;
        IF allowed IS NULL THEN
            -- What was counted under an earlier quota misses this one.
            DELETE FROM row_counts WHERE tenant_id = added.tenant_id AND kind = 'documents';
            CONTINUE;
        END IF;
        PERFORM pg_advisory_xact_lock(hashtextextended('documents' || added.tenant_id, 0));
        UPDATE row_counts SET rows = rows + added.n WHERE tenant_id = added.tenant_id AND kind = 'documents'
        RETURNING rows INTO held;
        IF NOT FOUND THEN
            held := documents_of(added.tenant_id);
            INSERT INTO row_counts (tenant_id, kind, stripe, rows) VALUES (added.tenant_id, 'documents', 0, held);
        END IF;
        IF allowed < held THEN
            PERFORM refuse_quota('documents', allowed);
        END IF;
    END LOOP;
    RETURN NULL;
END $$;

DO $$
DECLARE
    document text;
BEGIN
    FOREACH document IN ARRAY ARRAY['sales_orders', 'deliveries', 'sales_returns', 'invoices', 'payments',
        'purchase_orders', 'goods_receipts', 'supplier_bills', 'stock_adjustments']
    LOOP
        EXECUTE format('CREATE TRIGGER %I AFTER INSERT ON %I REFERENCING NEW TABLE AS changed'
            ' FOR EACH STATEMENT EXECUTE FUNCTION count_documents()', document || '_counted', document);
    END LOOP;
END $$;
