-- Customer invoices and credit notes: drafts, then posted and never changed again.

CREATE TABLE invoices (
    tenant_id          uuid NOT NULL,
    id                 uuid NOT NULL,
    kind               text NOT NULL,
    state              text NOT NULL,
    number             text,
    party_id           uuid NOT NULL,
    date               date NOT NULL,
    due_date           date NOT NULL,
    accounting_date    date,
    currency           text NOT NULL,
    prices_include_tax boolean NOT NULL,
    tax_rounding       text NOT NULL,
    net                numeric NOT NULL,
    tax                numeric NOT NULL,
    gross              numeric NOT NULL,
    line_count         integer NOT NULL,
    order_id           uuid,
    credits_id         uuid,
    entry_id           uuid,
    text               text NOT NULL DEFAULT '',
    external_id        text,
    version            integer NOT NULL DEFAULT 1,
    created_at         timestamptz NOT NULL DEFAULT now(),
    posted_at          timestamptz,
    CONSTRAINT invoices_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT invoices_number_key UNIQUE (tenant_id, number),
    CONSTRAINT invoices_external_id_key UNIQUE (tenant_id, external_id),
    CONSTRAINT invoices_party_fkey FOREIGN KEY (tenant_id, party_id) REFERENCES parties (tenant_id, id),
    CONSTRAINT invoices_credits_fkey FOREIGN KEY (tenant_id, credits_id) REFERENCES invoices,
    CONSTRAINT invoices_entry_fkey FOREIGN KEY (tenant_id, entry_id) REFERENCES journal_entries,
    CONSTRAINT invoices_kind_check CHECK (kind IN ('invoice', 'credit_note')),
    CONSTRAINT invoices_state_check CHECK (state IN ('draft', 'posted', 'cancelled')),
    CONSTRAINT invoices_tax_rounding_check CHECK (tax_rounding IN ('line', 'document')),
    CONSTRAINT invoices_credits_check CHECK (credits_id IS NULL OR kind = 'credit_note'),
    CONSTRAINT invoices_posted_check CHECK ((state = 'posted') = (number IS NOT NULL)
        AND (state = 'posted') = (accounting_date IS NOT NULL) AND (state = 'posted') = (posted_at IS NOT NULL)),
    CONSTRAINT invoices_total_check CHECK (gross = net + tax AND gross >= 0 AND gross < 'Infinity'),
    CONSTRAINT invoices_entry_check CHECK (entry_id IS NULL OR state = 'posted'),
    CONSTRAINT invoices_line_count_check CHECK (line_count >= 1)
);
CREATE INDEX invoices_by_created ON invoices (tenant_id, created_at, id);
CREATE INDEX invoices_by_date ON invoices (tenant_id, date, id);
CREATE INDEX invoices_by_party ON invoices (tenant_id, party_id, date, id);
CREATE INDEX invoices_by_order ON invoices (tenant_id, order_id) WHERE order_id IS NOT NULL;
CREATE INDEX invoices_by_credited ON invoices (tenant_id, credits_id) WHERE credits_id IS NOT NULL;
CREATE INDEX invoices_drafts ON invoices (tenant_id, created_at, id) WHERE state = 'draft';

CREATE TABLE invoice_lines (
    tenant_id        uuid NOT NULL,
    invoice_id       uuid NOT NULL,
    line_no          integer NOT NULL,
    product_id       uuid,
    description      text NOT NULL,
    quantity         numeric NOT NULL,
    unit_code        text NOT NULL DEFAULT '',
    unit_price       numeric NOT NULL,
    discount_percent numeric NOT NULL DEFAULT 0,
    tax_group_id     uuid,
    tax_rate         numeric NOT NULL,
    net              numeric NOT NULL,
    tax              numeric NOT NULL,
    gross            numeric NOT NULL,
    account          text NOT NULL,
    source_line_id   uuid,
    credits_line_no  integer,
    CONSTRAINT invoice_lines_pkey PRIMARY KEY (tenant_id, invoice_id, line_no),
    CONSTRAINT invoice_lines_invoice_fkey FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoices,
    CONSTRAINT invoice_lines_product_fkey FOREIGN KEY (tenant_id, product_id) REFERENCES products (tenant_id, id),
    CONSTRAINT invoice_lines_line_no_check CHECK (line_no >= 1),
    CONSTRAINT invoice_lines_quantity_check CHECK (quantity > 0 AND quantity < 'Infinity'),
    CONSTRAINT invoice_lines_unit_price_check CHECK (unit_price > '-Infinity' AND unit_price < 'Infinity'),
    CONSTRAINT invoice_lines_discount_check CHECK (discount_percent BETWEEN 0 AND 100),
    CONSTRAINT invoice_lines_tax_rate_check CHECK (tax_rate BETWEEN 0 AND 1000),
    CONSTRAINT invoice_lines_total_check CHECK (gross = net + tax AND gross > '-Infinity' AND gross < 'Infinity')
);
CREATE INDEX invoice_lines_by_source ON invoice_lines (tenant_id, source_line_id) WHERE source_line_id IS NOT NULL;

CREATE FUNCTION invoices_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a posted invoice is never changed'
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'invoices_posted_immutable', TABLE = TG_TABLE_NAME;
END $$;
CREATE TRIGGER invoices_posted_immutable BEFORE UPDATE OR DELETE ON invoices
    FOR EACH ROW WHEN (OLD.state = 'posted') EXECUTE FUNCTION invoices_refuse_change();
-- The lines of a draft are replaced, never updated in place.
CREATE TRIGGER invoice_lines_immutable BEFORE UPDATE ON invoice_lines
    FOR EACH STATEMENT EXECUTE FUNCTION invoices_refuse_change();

CREATE FUNCTION invoice_lines_check() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM changed l
        JOIN public.invoices i ON i.tenant_id = l.tenant_id AND i.id = l.invoice_id
        WHERE CASE WHEN TG_OP = 'DELETE' THEN i.state = 'posted' ELSE l.line_no > i.line_count END
    ) THEN
        RAISE EXCEPTION 'the lines of a posted invoice are never changed'
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'invoices_posted_immutable', TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER invoice_lines_kept AFTER DELETE ON invoice_lines
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION invoice_lines_check();
CREATE TRIGGER invoice_lines_counted AFTER INSERT ON invoice_lines
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION invoice_lines_check();

-- An invoice is noted as overdue once a level.
CREATE TABLE invoice_reminders (
    tenant_id  uuid NOT NULL,
    id         uuid NOT NULL,
    invoice_id uuid NOT NULL,
    level      integer NOT NULL,
    noted_on   date NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT invoice_reminders_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT invoice_reminders_level_key UNIQUE (tenant_id, invoice_id, level),
    CONSTRAINT invoice_reminders_invoice_fkey FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoices
);
