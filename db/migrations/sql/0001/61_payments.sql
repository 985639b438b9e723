-- Money received and paid. What is not allocated to open items is the party's advance.

CREATE TABLE payments (
    tenant_id         uuid NOT NULL,
    id                uuid NOT NULL,
    number            text NOT NULL,
    direction         text NOT NULL,
    side              text NOT NULL,
    state             text NOT NULL DEFAULT 'posted',
    party_id          uuid NOT NULL,
    date              date NOT NULL,
    accounting_date   date NOT NULL,
    currency          text NOT NULL,
    amount            numeric NOT NULL,
    unallocated       numeric NOT NULL,
    method            text NOT NULL,
    account_code      text NOT NULL,
    reference         text NOT NULL DEFAULT '',
    entry_id          uuid NOT NULL,
    reversal_entry_id uuid,
    reversal_reason   text NOT NULL DEFAULT '',
    external_id       text,
    version           integer NOT NULL DEFAULT 1,
    created_at        timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT payments_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT payments_number_key UNIQUE (tenant_id, number),
    CONSTRAINT payments_external_id_key UNIQUE (tenant_id, external_id),
    CONSTRAINT payments_party_fkey FOREIGN KEY (tenant_id, party_id) REFERENCES parties (tenant_id, id),
    CONSTRAINT payments_entry_fkey FOREIGN KEY (tenant_id, entry_id) REFERENCES journal_entries,
    CONSTRAINT payments_reversal_fkey FOREIGN KEY (tenant_id, reversal_entry_id) REFERENCES journal_entries,
    CONSTRAINT payments_direction_check CHECK (direction IN ('in', 'out')),
    CONSTRAINT payments_side_check CHECK (side IN ('receivable', 'payable')),
    CONSTRAINT payments_state_check CHECK (state IN ('posted', 'reversed')),
    CONSTRAINT payments_amount_check CHECK (amount > 0 AND amount < 'Infinity'),
    CONSTRAINT payments_unallocated_check CHECK (unallocated >= 0 AND unallocated <= amount),
    CONSTRAINT payments_reversed_check CHECK ((state = 'reversed') = (reversal_entry_id IS NOT NULL))
);
CREATE INDEX payments_by_created ON payments (tenant_id, created_at, id);
CREATE INDEX payments_by_date ON payments (tenant_id, date, id);
CREATE INDEX payments_by_party ON payments (tenant_id, party_id, date, id);

-- What was received or paid is fixed; only how it is allocated and whether it was reversed may change.
CREATE FUNCTION payments_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a posted payment is never changed: reverse it'
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'payments_immutable', TABLE = 'payments';
END $$;
CREATE TRIGGER payments_kept BEFORE DELETE ON payments
    FOR EACH STATEMENT EXECUTE FUNCTION payments_refuse_change();
CREATE TRIGGER payments_immutable BEFORE UPDATE ON payments FOR EACH ROW
    WHEN (OLD.state = 'reversed'
        OR (OLD.number, OLD.direction, OLD.side, OLD.party_id, OLD.date, OLD.accounting_date, OLD.currency,
            OLD.amount, OLD.account_code, OLD.entry_id)
        IS DISTINCT FROM
           (NEW.number, NEW.direction, NEW.side, NEW.party_id, NEW.date, NEW.accounting_date, NEW.currency,
            NEW.amount, NEW.account_code, NEW.entry_id))
    EXECUTE FUNCTION payments_refuse_change();
