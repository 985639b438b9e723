-- Which database a tenant lives in, what a transaction over two of them decided, and sales between their tenants.

-- The tenant's own copy of where it lives, for whoever has only its database.
ALTER TABLE tenants ADD COLUMN database text NOT NULL DEFAULT 'main'
    CONSTRAINT tenants_database_check CHECK (database ~ '^[a-z][a-z0-9_]{0,30}$');

-- The map, complete on the first database only; a tenant that is not in it lives there. Slugs are unique over all
-- databases because every tenant's stands here.
CREATE TABLE placements (
    tenant_id  uuid NOT NULL,
    slug       text NOT NULL,
    database   text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT placements_pkey PRIMARY KEY (tenant_id),
    CONSTRAINT placements_slug_key UNIQUE (slug),
    CONSTRAINT placements_database_check CHECK (database ~ '^[a-z][a-z0-9_]{0,30}$')
);
ALTER TABLE tenants NO FORCE ROW LEVEL SECURITY;
INSERT INTO placements (tenant_id, slug, database, created_at)
SELECT tenant_id, slug, database, created_at FROM tenants;
ALTER TABLE tenants FORCE ROW LEVEL SECURITY;
GRANT SELECT ON placements TO erp_platform;
CREATE POLICY platform_crossing ON placements TO erp_platform USING (true) WITH CHECK (true);

-- The decision log. The key decides the race between a slow coordinator and the recovery that gave it up: whoever
-- writes first has decided. No row means abort. `finished_at`: no participant holds the transaction prepared.
CREATE TABLE two_phase_decisions (
    id           uuid NOT NULL,
    coordinator  text NOT NULL,
    decision     text NOT NULL,
    participants text[] NOT NULL,
    reason       text NOT NULL DEFAULT '',
    attempts     integer NOT NULL DEFAULT 0,
    decided_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at  timestamptz,
    CONSTRAINT two_phase_decisions_pkey PRIMARY KEY (id),
    CONSTRAINT two_phase_decisions_decision_check CHECK (decision IN ('commit', 'abort'))
);
CREATE INDEX two_phase_decisions_unfinished ON two_phase_decisions (decided_at) WHERE finished_at IS NULL;
CREATE INDEX two_phase_decisions_by_time ON two_phase_decisions (decided_at, id);
-- What was decided never changes; only how far it is carried out.
GRANT SELECT, INSERT, UPDATE (attempts, finished_at) ON two_phase_decisions TO erp_app;
GRANT SELECT, DELETE ON two_phase_decisions TO erp_platform;

-- A tenant's own consent to trade with another one. Both have given theirs, or nothing is written for either.
CREATE TABLE intercompany_links (
    tenant_id   uuid NOT NULL,
    id          uuid NOT NULL,
    partner_id  uuid NOT NULL,
    party_id    uuid NOT NULL,
    location_id uuid,
    sells       boolean NOT NULL,
    buys        boolean NOT NULL,
    state       text NOT NULL DEFAULT 'active',
    version     integer NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT intercompany_links_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT intercompany_links_partner_key UNIQUE (tenant_id, partner_id),
    CONSTRAINT intercompany_links_party FOREIGN KEY (tenant_id, party_id) REFERENCES parties (tenant_id, id),
    CONSTRAINT intercompany_links_location FOREIGN KEY (tenant_id, location_id) REFERENCES locations (tenant_id, id),
    CONSTRAINT intercompany_links_other_check CHECK (partner_id <> tenant_id),
    CONSTRAINT intercompany_links_state_check CHECK (state IN ('active', 'ended'))
);
CREATE INDEX intercompany_links_by_created ON intercompany_links (tenant_id, created_at, id);

-- One row on each side, with the same id: the seller's names an order, a delivery and an invoice, the buyer's a
-- purchase order, a receipt and a bill.
CREATE TABLE intercompany_sales (
    tenant_id       uuid NOT NULL,
    id              uuid NOT NULL,
    side            text NOT NULL,
    partner_id      uuid NOT NULL,
    party_id        uuid NOT NULL,
    date            date NOT NULL,
    currency        text NOT NULL,
    net             numeric NOT NULL,
    tax             numeric NOT NULL,
    gross           numeric NOT NULL,
    line_count      integer NOT NULL,
    order_id        uuid NOT NULL,
    order_number    text NOT NULL,
    handover_id     uuid,
    handover_number text,
    bill_id         uuid NOT NULL,
    bill_number     text NOT NULL,
    partner_number  text NOT NULL,
    version         integer NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT intercompany_sales_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT intercompany_sales_side_check CHECK (side IN ('seller', 'buyer')),
    CONSTRAINT intercompany_sales_line_count_check CHECK (line_count > 0),
    CONSTRAINT intercompany_sales_amounts_check CHECK (
        net > '-Infinity' AND net < 'Infinity' AND tax > '-Infinity' AND tax < 'Infinity' AND gross = net + tax)
);
CREATE INDEX intercompany_sales_by_created ON intercompany_sales (tenant_id, created_at, id);
CREATE INDEX intercompany_sales_by_date ON intercompany_sales (tenant_id, date, id);
