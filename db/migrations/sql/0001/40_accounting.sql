-- The ledger: chart of accounts, periods, immutable entries, open items and their allocations.
-- Amounts are signed (debit > 0, credit < 0) and already rounded to the currency's exponent.

CREATE TABLE accounts (
    tenant_id   uuid NOT NULL,
    code        text NOT NULL,
    id          uuid NOT NULL,
    name        text NOT NULL,
    type        text NOT NULL,
    active      boolean NOT NULL DEFAULT true,
    external_id text,
    version     integer NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT accounts_pkey PRIMARY KEY (tenant_id, code),
    CONSTRAINT accounts_id_key UNIQUE (tenant_id, id),
    CONSTRAINT accounts_external_id_key UNIQUE (tenant_id, external_id),
    CONSTRAINT accounts_type_check CHECK (type IN ('asset', 'liability', 'equity', 'income', 'expense'))
);

-- What postings mean by @receivables, @revenue, ... A control role's account takes no manual entries.
CREATE TABLE account_roles (
    tenant_id    uuid NOT NULL,
    role         text NOT NULL,
    account_code text NOT NULL,
    CONSTRAINT account_roles_pkey PRIMARY KEY (tenant_id, role),
    CONSTRAINT account_roles_account_fkey FOREIGN KEY (tenant_id, account_code) REFERENCES accounts
);

CREATE TABLE journals (
    tenant_id uuid NOT NULL,
    code      text NOT NULL,
    name      text NOT NULL,
    CONSTRAINT journals_pkey PRIMARY KEY (tenant_id, code)
);

CREATE TABLE periods (
    tenant_id   uuid NOT NULL,
    id          uuid NOT NULL,
    start_date  date NOT NULL,
    end_date    date NOT NULL,
    state       text NOT NULL DEFAULT 'open',
    reason      text NOT NULL DEFAULT '',
    snapshot_at timestamptz,
    version     integer NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT periods_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT periods_start_date_key UNIQUE (tenant_id, start_date),
    CONSTRAINT periods_month_check CHECK (
        EXTRACT(DAY FROM start_date) = 1
        AND end_date = (start_date + interval '1 month' - interval '1 day')::date),
    CONSTRAINT periods_state_check CHECK (state IN ('open', 'soft_closed', 'closed')),
    CONSTRAINT periods_snapshot_check CHECK (snapshot_at IS NULL OR state <> 'open')
);
CREATE INDEX periods_by_end ON periods (tenant_id, end_date);

CREATE TABLE journal_entries (
    tenant_id     uuid NOT NULL,
    id            uuid NOT NULL,
    number        text NOT NULL,
    journal       text NOT NULL,
    period_id     uuid NOT NULL,
    date          date NOT NULL,
    document_date date NOT NULL,
    source_type   text NOT NULL,
    source_id     uuid NOT NULL,
    text          text NOT NULL DEFAULT '',
    line_count    integer NOT NULL,
    reverses_id   uuid,
    external_id   text,
    created_by    uuid NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT journal_entries_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT journal_entries_number_key UNIQUE (tenant_id, number),
    CONSTRAINT journal_entries_external_id_key UNIQUE (tenant_id, external_id),
    CONSTRAINT journal_entries_period_fkey FOREIGN KEY (tenant_id, period_id) REFERENCES periods,
    CONSTRAINT journal_entries_reverses_fkey FOREIGN KEY (tenant_id, reverses_id) REFERENCES journal_entries,
    CONSTRAINT journal_entries_two_lines CHECK (line_count >= 2)
);
-- An entry is reversed at most once.
CREATE UNIQUE INDEX journal_entries_reverses_key ON journal_entries (tenant_id, reverses_id)
    WHERE reverses_id IS NOT NULL;
CREATE INDEX journal_entries_by_date ON journal_entries (tenant_id, date, id);
CREATE INDEX journal_entries_by_source ON journal_entries (tenant_id, source_id, id);

-- No foreign key to accounts: it would lock the row of receivables and of revenue once for every line of every
-- sale. The trigger below looks the accounts up instead, and accounts are never removed or renumbered.
CREATE TABLE journal_lines (
    tenant_id    uuid NOT NULL,
    entry_id     uuid NOT NULL,
    line_no      integer NOT NULL,
    date         date NOT NULL,
    account_code text NOT NULL,
    amount       numeric NOT NULL,
    currency     text NOT NULL,
    rate         numeric NOT NULL,
    base_amount  numeric NOT NULL,
    party_id     uuid,
    product_id   uuid,
    text         text NOT NULL DEFAULT '',
    position     bigint GENERATED ALWAYS AS IDENTITY,
    CONSTRAINT journal_lines_pkey PRIMARY KEY (tenant_id, entry_id, line_no),
    CONSTRAINT journal_lines_entry_fkey FOREIGN KEY (tenant_id, entry_id) REFERENCES journal_entries,
    CONSTRAINT journal_lines_line_no_check CHECK (line_no >= 1),
    CONSTRAINT journal_lines_amount_check
        CHECK (amount <> 0 AND amount > '-Infinity' AND amount < 'Infinity'),
    CONSTRAINT journal_lines_base_amount_check
        CHECK (base_amount <> 0 AND base_amount > '-Infinity' AND base_amount < 'Infinity'),
    CONSTRAINT journal_lines_rate_check CHECK (rate > 0 AND rate < 'Infinity')
);
-- Balances are ranges of this index alone; the general ledger pages along it.
CREATE INDEX journal_lines_by_account ON journal_lines (tenant_id, account_code, date, position)
    INCLUDE (base_amount);

-- All lines there, debits = credits in the tenant's currency and in every other: checked when the transaction commits.
CREATE FUNCTION journal_entry_check() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    lines   bigint;
    balance numeric;
    crooked text;
BEGIN
    SELECT sum(c.lines), sum(c.base), min(c.currency) FILTER (WHERE c.total <> 0)
    INTO lines, balance, crooked
    FROM (
        SELECT l.currency, count(*) AS lines, sum(l.base_amount) AS base, sum(l.amount) AS total
        FROM public.journal_lines l
        WHERE l.tenant_id = NEW.tenant_id AND l.entry_id = NEW.id
        GROUP BY l.currency
    ) c;
    IF lines IS DISTINCT FROM NEW.line_count THEN
        RAISE EXCEPTION 'entry % has % of its % lines', NEW.number, coalesce(lines, 0), NEW.line_count
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_lines_complete', TABLE = 'journal_lines';
    END IF;
    IF balance <> 0 OR crooked IS NOT NULL THEN
        RAISE EXCEPTION 'entry % is off by % (%)', NEW.number, balance, crooked
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_entries_balanced', TABLE = 'journal_entries';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER journal_entries_balanced AFTER INSERT ON journal_entries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION journal_entry_check();

-- The foreign key above has locked the period's row against its closing, so what is read here holds until COMMIT.
CREATE FUNCTION journal_entry_place() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM public.journals j WHERE j.tenant_id = NEW.tenant_id AND j.code = NEW.journal
    ) THEN
        RAISE EXCEPTION 'there is no journal %', NEW.journal
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'journal_entries_journal',
                  TABLE = 'journal_entries';
    END IF;
    IF NOT EXISTS (
        SELECT FROM public.periods p
        WHERE p.tenant_id = NEW.tenant_id AND p.id = NEW.period_id
            AND NEW.date BETWEEN p.start_date AND p.end_date AND p.state = 'open'
    ) THEN
        RAISE EXCEPTION 'entry % of % lies outside its period or the period is closed', NEW.number, NEW.date
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_entries_open_period',
                  TABLE = 'journal_entries';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER journal_entries_place AFTER INSERT ON journal_entries
    FOR EACH ROW EXECUTE FUNCTION journal_entry_place();

-- A committed entry holds all line numbers up to its line_count, so no line can ever join it later.
CREATE FUNCTION journal_lines_check() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong record;
BEGIN
    SELECT l.line_no, l.account_code, a.code IS NULL AS unknown INTO wrong
    FROM added l
    LEFT JOIN public.journal_entries e ON e.tenant_id = l.tenant_id AND e.id = l.entry_id
    LEFT JOIN public.accounts a ON a.tenant_id = l.tenant_id AND a.code = l.account_code
    WHERE a.code IS NULL OR l.line_no > e.line_count OR l.date <> e.date
    LIMIT 1;
    IF FOUND AND wrong.unknown THEN
        RAISE EXCEPTION 'there is no account %', wrong.account_code
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'journal_lines_account', TABLE = 'journal_lines';
    ELSIF FOUND THEN
        RAISE EXCEPTION 'line % does not belong to its entry', wrong.line_no
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_lines_complete', TABLE = 'journal_lines';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER journal_lines_check AFTER INSERT ON journal_lines
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION journal_lines_check();

CREATE FUNCTION journal_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is written once: reverse instead', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'journal_is_immutable', TABLE = TG_TABLE_NAME;
END $$;
CREATE TRIGGER journal_entries_immutable BEFORE UPDATE OR DELETE ON journal_entries
    FOR EACH STATEMENT EXECUTE FUNCTION journal_refuse_change();
CREATE TRIGGER journal_lines_immutable BEFORE UPDATE OR DELETE ON journal_lines
    FOR EACH STATEMENT EXECUTE FUNCTION journal_refuse_change();

CREATE FUNCTION accounts_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'accounts are deactivated, never removed or renumbered'
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'accounts_are_kept', TABLE = 'accounts';
END $$;
CREATE TRIGGER accounts_kept BEFORE DELETE ON accounts
    FOR EACH STATEMENT EXECUTE FUNCTION accounts_refuse_change();
CREATE TRIGGER accounts_code_kept BEFORE UPDATE OF code ON accounts
    FOR EACH ROW WHEN (OLD.code <> NEW.code) EXECUTE FUNCTION accounts_refuse_change();

-- What moved on each account within a closed period. Nothing posts into it any more, so the sums stay true;
-- reopening the period drops them.
CREATE TABLE balance_snapshots (
    tenant_id    uuid NOT NULL,
    period_id    uuid NOT NULL,
    account_code text NOT NULL,
    debit        numeric NOT NULL,
    credit       numeric NOT NULL,
    CONSTRAINT balance_snapshots_debit_check CHECK (debit >= 0 AND debit < 'Infinity'),
    CONSTRAINT balance_snapshots_credit_check CHECK (credit >= 0 AND credit < 'Infinity'),
    CONSTRAINT balance_snapshots_pkey PRIMARY KEY (tenant_id, period_id, account_code),
    CONSTRAINT balance_snapshots_period_fkey FOREIGN KEY (tenant_id, period_id) REFERENCES periods,
    CONSTRAINT balance_snapshots_account_fkey FOREIGN KEY (tenant_id, account_code) REFERENCES accounts
);

CREATE TABLE open_items (
    tenant_id         uuid NOT NULL,
    id                uuid NOT NULL,
    party_id          uuid NOT NULL,
    side              text NOT NULL,
    direction         text NOT NULL,
    document_type     text NOT NULL,
    document_id       uuid NOT NULL,
    document_number   text NOT NULL,
    date              date NOT NULL,
    due_date          date NOT NULL,
    currency          text NOT NULL,
    amount            numeric NOT NULL,
    open_amount       numeric NOT NULL,
    last_allocated_on date,
    settled_on        date,
    version           integer NOT NULL DEFAULT 1,
    created_at        timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT open_items_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT open_items_document_key UNIQUE (tenant_id, document_id),
    CONSTRAINT open_items_party_fkey FOREIGN KEY (tenant_id, party_id) REFERENCES parties (tenant_id, id),
    CONSTRAINT open_items_side_check CHECK (side IN ('receivable', 'payable')),
    CONSTRAINT open_items_direction_check CHECK (direction IN ('debit', 'credit')),
    CONSTRAINT open_items_amount_check CHECK (amount > 0 AND amount < 'Infinity'),
    CONSTRAINT open_items_open_amount_check CHECK (open_amount >= 0 AND open_amount <= amount),
    CONSTRAINT open_items_settled_check CHECK ((settled_on IS NOT NULL) = (open_amount = 0))
);
-- Ageing reads what is open, and what was settled after the day asked for; never a tenant's whole history.
CREATE INDEX open_items_open ON open_items (tenant_id, due_date, id) WHERE settled_on IS NULL;
CREATE INDEX open_items_settled ON open_items (tenant_id, side, settled_on) WHERE settled_on IS NOT NULL;
CREATE INDEX open_items_by_due ON open_items (tenant_id, due_date, id);
CREATE INDEX open_items_by_party ON open_items (tenant_id, party_id, due_date, id);

-- A payment settles an item by one row. A credit note and an invoice settle each other by a pair of rows, one on
-- each item. What was settled and taken back again stays: the taking back is a row with the opposite amount.
CREATE TABLE allocations (
    tenant_id    uuid NOT NULL,
    id           uuid NOT NULL,
    open_item_id uuid NOT NULL,
    counter_type text NOT NULL,
    counter_id   uuid NOT NULL,
    amount       numeric NOT NULL,
    date         date NOT NULL,
    entry_id     uuid,
    pair_id      uuid,
    reverses_id  uuid,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT allocations_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT allocations_item_fkey FOREIGN KEY (tenant_id, open_item_id) REFERENCES open_items,
    CONSTRAINT allocations_entry_fkey FOREIGN KEY (tenant_id, entry_id) REFERENCES journal_entries,
    CONSTRAINT allocations_pair_fkey FOREIGN KEY (tenant_id, pair_id) REFERENCES allocations,
    CONSTRAINT allocations_reverses_fkey FOREIGN KEY (tenant_id, reverses_id) REFERENCES allocations,
    CONSTRAINT allocations_counter_type_check CHECK (counter_type IN ('payment', 'open_item')),
    CONSTRAINT allocations_amount_check CHECK (amount <> 0 AND amount > '-Infinity' AND amount < 'Infinity'),
    CONSTRAINT allocations_sign_check CHECK ((reverses_id IS NULL) = (amount > 0)),
    CONSTRAINT allocations_pair_check CHECK ((pair_id IS NOT NULL) = (counter_type = 'open_item'))
);
CREATE UNIQUE INDEX allocations_reverses_key ON allocations (tenant_id, reverses_id) WHERE reverses_id IS NOT NULL;
CREATE INDEX allocations_by_item ON allocations (tenant_id, open_item_id, date) INCLUDE (amount);
CREATE INDEX allocations_by_counter ON allocations (tenant_id, counter_id, id);
CREATE TRIGGER allocations_immutable BEFORE UPDATE OR DELETE ON allocations
    FOR EACH STATEMENT EXECUTE FUNCTION journal_refuse_change();
