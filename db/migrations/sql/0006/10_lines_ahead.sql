-- Lines go ahead of the document they belong to: it bears a number others wait for, they do not. So whether there is
-- such a document is looked at when the transaction commits.
ALTER TABLE journal_lines ALTER CONSTRAINT journal_lines_entry_fkey DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE invoice_lines ALTER CONSTRAINT invoice_lines_invoice_fkey DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE delivery_lines ALTER CONSTRAINT delivery_lines_delivery DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE sales_return_lines ALTER CONSTRAINT sales_return_lines_return DEFERRABLE INITIALLY DEFERRED;

-- All lines there, numbered from 1 and of the entry's date, debits = credits in the tenant's currency and in every
-- other: checked when the transaction commits. journal_lines_check sees only lines that join an entry.
CREATE OR REPLACE FUNCTION journal_entry_check() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    lines   bigint;
    balance numeric;
    crooked text;
    strange boolean;
BEGIN
    SELECT sum(c.lines), sum(c.base), min(c.currency) FILTER (WHERE c.total <> 0), bool_or(c.strange)
    INTO lines, balance, crooked, strange
    FROM (
        SELECT l.currency, count(*) AS lines, sum(l.base_amount) AS base, sum(l.amount) AS total,
            bool_or(l.line_no > NEW.line_count OR l.date <> NEW.date) AS strange
        FROM public.journal_lines l
        WHERE l.tenant_id = NEW.tenant_id AND l.entry_id = NEW.id
        GROUP BY l.currency
    ) c;
    IF lines IS DISTINCT FROM NEW.line_count OR strange THEN
        RAISE EXCEPTION 'entry % has % lines instead of %, or others than its own', NEW.number, coalesce(lines, 0),
            NEW.line_count
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_lines_complete', TABLE = 'journal_lines';
    END IF;
    IF balance <> 0 OR crooked IS NOT NULL THEN
        RAISE EXCEPTION 'entry % is off by % (%)', NEW.number, balance, crooked
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_entries_balanced', TABLE = 'journal_entries';
    END IF;
    RETURN NULL;
END $$;

-- The same for an invoice that is posted from the beginning: invoice_lines_counted saw no invoice yet.
CREATE FUNCTION invoice_counts_lines() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM public.invoice_lines l
        WHERE l.tenant_id = NEW.tenant_id AND l.invoice_id = NEW.id AND l.line_no > NEW.line_count
    ) THEN
        RAISE EXCEPTION 'an invoice has lines up to its line_count'
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'invoices_posted_immutable', TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER invoices_count_lines AFTER INSERT ON invoices
    FOR EACH ROW WHEN (NEW.state = 'posted') EXECUTE FUNCTION invoice_counts_lines();
