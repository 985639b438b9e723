-- The event table as event store and as a feed that late commits cannot slip past; consumers of the bus with what
-- they have confirmed; read models; what verifications found.

-- The form of an event's data; rows of before are of the first form.
ALTER TABLE events ADD COLUMN schema_version smallint NOT NULL DEFAULT 1;

-- The transaction that wrote the event. Transactions end in any order, but once all below `pg_snapshot_xmin` have
-- ended, nothing is added there any more: the only order in which a feed can be read on from where it stopped. The
-- default is set apart from the column, so that rows of before are not rewritten; theirs stays null.
ALTER TABLE events ADD COLUMN xid xid8;
ALTER TABLE events ALTER COLUMN xid SET DEFAULT pg_current_xact_id();
CREATE INDEX events_feed ON events (xid, position) WHERE xid IS NOT NULL;

-- One row a named consumer of this database. Everything up to (xid, position) has had its effect, for every tenant.
CREATE TABLE event_consumers (
    name        text PRIMARY KEY,
    xid         xid8 NOT NULL,
    position    bigint NOT NULL DEFAULT 0,
    settled_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT event_consumers_name_check CHECK (name ~ '^[a-z][a-z-]{0,62}$'),
    CONSTRAINT event_consumers_position_check CHECK (position >= 0)
);

-- What a consumer has made of one tenant's events. One generation is shown (`live`); another may be `building` from
-- zero beside it, or deliver a part of the history again (`replaying`).
CREATE TABLE event_generations (
    tenant_id    uuid NOT NULL REFERENCES tenants,
    consumer     text NOT NULL,
    generation   integer NOT NULL,
    state        text NOT NULL,
    complete     boolean NOT NULL,
    -- History is what transactions below `below` wrote; `reached` says how far of it is done. What comes after is
    -- delivered like any event. Nothing may be missed once the consumer has confirmed up to `seen_to`.
    below        xid8,
    seen_to      xid8,
    first        bigint NOT NULL DEFAULT 0,
    reached      bigint NOT NULL DEFAULT 0,
    read_all     boolean NOT NULL DEFAULT false,
    applied      bigint NOT NULL DEFAULT 0,
    position     bigint NOT NULL DEFAULT 0,
    event_at     timestamptz,
    job_id       uuid,
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at  timestamptz,
    CONSTRAINT event_generations_pkey PRIMARY KEY (tenant_id, consumer, generation),
    CONSTRAINT event_generations_state_check
        CHECK (state IN ('live', 'building', 'replaying', 'replayed', 'retired')),
    CONSTRAINT event_generations_counts_check CHECK (generation > 0 AND applied >= 0 AND reached >= 0)
);
CREATE UNIQUE INDEX event_generations_live ON event_generations (tenant_id, consumer) WHERE state = 'live';
CREATE UNIQUE INDEX event_generations_building ON event_generations (tenant_id, consumer)
    WHERE state IN ('building', 'replaying');

-- An event had its effect in a generation: written in the transaction of the effect, dropped once the consumer has
-- confirmed beyond the event.
CREATE TABLE event_receipts (
    tenant_id  uuid NOT NULL,
    consumer   text NOT NULL,
    event_id   uuid NOT NULL,
    generation integer NOT NULL,
    CONSTRAINT event_receipts_pkey PRIMARY KEY (tenant_id, consumer, event_id, generation)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, vacuum_truncate = false);

-- An event its consumer could not take. `waiting` ones are tried again, `dead` ones wait for somebody's decision.
CREATE TABLE event_failures (
    tenant_id    uuid NOT NULL REFERENCES tenants,
    id           uuid NOT NULL,
    consumer     text NOT NULL,
    event_id     uuid NOT NULL,
    type         text NOT NULL,
    position     bigint NOT NULL,
    state        text NOT NULL DEFAULT 'waiting',
    attempts     integer NOT NULL DEFAULT 1,
    retry_at     timestamptz NOT NULL,
    error_code   text NOT NULL,
    error_detail text NOT NULL,
    version      integer NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at     timestamptz,
    CONSTRAINT event_failures_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT event_failures_event_key UNIQUE (tenant_id, consumer, event_id),
    CONSTRAINT event_failures_state_check
        CHECK (state IN ('waiting', 'dead', 'recovered', 'replayed', 'discarded')),
    CONSTRAINT event_failures_counts_check CHECK (attempts > 0 AND version > 0)
);
CREATE INDEX event_failures_by_created ON event_failures (tenant_id, created_at, id);
CREATE INDEX event_failures_dead ON event_failures (consumer) WHERE state = 'dead';

-- Streams folded and compared with the tables, read models recomputed from the documents: what was found.
CREATE TABLE event_verifications (
    tenant_id   uuid NOT NULL REFERENCES tenants,
    id          uuid NOT NULL,
    kind        text NOT NULL,
    state       text NOT NULL DEFAULT 'running',
    checked     integer NOT NULL DEFAULT 0,
    incomplete  integer NOT NULL DEFAULT 0,
    differing   integer NOT NULL DEFAULT 0,
    difference  jsonb,
    version     integer NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    CONSTRAINT event_verifications_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT event_verifications_kind_check CHECK (kind IN ('events', 'projections')),
    CONSTRAINT event_verifications_state_check CHECK (state IN ('running', 'agrees', 'differs'))
);
CREATE INDEX event_verifications_by_created ON event_verifications (tenant_id, created_at, id);

-- Read models. Amounts are in the tenant's currency and without tax, quantities as invoiced; credit notes count
-- against both.
CREATE TABLE sales_by_day (
    tenant_id uuid NOT NULL, generation integer NOT NULL, day date NOT NULL,
    documents integer NOT NULL, net numeric NOT NULL, tax numeric NOT NULL, gross numeric NOT NULL,
    CONSTRAINT sales_by_day_pkey PRIMARY KEY (tenant_id, generation, day)
);
CREATE TABLE sales_by_product (
    tenant_id uuid NOT NULL, generation integer NOT NULL, day date NOT NULL, product_id uuid NOT NULL,
    quantity numeric NOT NULL, net numeric NOT NULL,
    CONSTRAINT sales_by_product_pkey PRIMARY KEY (tenant_id, generation, day, product_id),
    CONSTRAINT sales_by_product_product FOREIGN KEY (tenant_id, product_id) REFERENCES products (tenant_id, id)
);
CREATE INDEX sales_by_product_products ON sales_by_product (tenant_id, product_id, day);
CREATE TABLE sales_by_customer (
    tenant_id uuid NOT NULL, generation integer NOT NULL, day date NOT NULL, party_id uuid NOT NULL,
    documents integer NOT NULL, net numeric NOT NULL, tax numeric NOT NULL, gross numeric NOT NULL,
    CONSTRAINT sales_by_customer_pkey PRIMARY KEY (tenant_id, generation, day, party_id),
    CONSTRAINT sales_by_customer_party FOREIGN KEY (tenant_id, party_id) REFERENCES parties (tenant_id, id)
);
CREATE INDEX sales_by_customer_parties ON sales_by_customer (tenant_id, party_id, day);
CREATE TABLE stock_movements_by_day (
    tenant_id uuid NOT NULL, generation integer NOT NULL, day date NOT NULL, product_id uuid NOT NULL,
    location_id uuid NOT NULL, id uuid NOT NULL DEFAULT gen_random_uuid(),
    received numeric NOT NULL, delivered numeric NOT NULL, returned numeric NOT NULL, adjusted numeric NOT NULL,
    value numeric NOT NULL,
    CONSTRAINT stock_movements_by_day_pkey PRIMARY KEY (tenant_id, generation, day, product_id, location_id),
    CONSTRAINT stock_movements_by_day_product FOREIGN KEY (tenant_id, product_id)
        REFERENCES products (tenant_id, id),
    CONSTRAINT stock_movements_by_day_location FOREIGN KEY (tenant_id, location_id)
        REFERENCES locations (tenant_id, id)
);
CREATE INDEX stock_movements_by_day_products ON stock_movements_by_day (tenant_id, product_id, day);
-- One row an open item: credit notes count against what is owed.
CREATE TABLE receivables (
    tenant_id uuid NOT NULL, generation integer NOT NULL, item_id uuid NOT NULL, party_id uuid NOT NULL,
    due_date date NOT NULL, open_amount numeric NOT NULL, version integer NOT NULL,
    CONSTRAINT receivables_pkey PRIMARY KEY (tenant_id, generation, item_id),
    CONSTRAINT receivables_item FOREIGN KEY (tenant_id, item_id) REFERENCES open_items (tenant_id, id),
    CONSTRAINT receivables_party FOREIGN KEY (tenant_id, party_id) REFERENCES parties (tenant_id, id)
);
CREATE INDEX receivables_by_party ON receivables (tenant_id, generation, party_id, due_date);

-- NaN and infinity would turn every sum into themselves.
ALTER TABLE sales_by_day ADD CONSTRAINT sales_by_day_finite CHECK (
    net > '-Infinity' AND net < 'Infinity'
    AND tax > '-Infinity' AND tax < 'Infinity'
    AND gross > '-Infinity' AND gross < 'Infinity');
ALTER TABLE sales_by_product ADD CONSTRAINT sales_by_product_finite CHECK (
    quantity > '-Infinity' AND quantity < 'Infinity'
    AND net > '-Infinity' AND net < 'Infinity');
ALTER TABLE sales_by_customer ADD CONSTRAINT sales_by_customer_finite CHECK (
    net > '-Infinity' AND net < 'Infinity'
    AND tax > '-Infinity' AND tax < 'Infinity'
    AND gross > '-Infinity' AND gross < 'Infinity');
ALTER TABLE stock_movements_by_day ADD CONSTRAINT stock_movements_by_day_finite CHECK (
    received > '-Infinity' AND received < 'Infinity'
    AND delivered > '-Infinity' AND delivered < 'Infinity'
    AND returned > '-Infinity' AND returned < 'Infinity'
    AND adjusted > '-Infinity' AND adjusted < 'Infinity'
    AND value > '-Infinity' AND value < 'Infinity');
ALTER TABLE receivables ADD CONSTRAINT receivables_finite CHECK (
    open_amount > '-Infinity' AND open_amount < 'Infinity');

GRANT SELECT, INSERT, UPDATE ON event_consumers TO erp_platform;
-- To lock the row while a generation begins; what it confirms is the platform's to say.
GRANT SELECT, UPDATE (settled_at) ON event_consumers TO erp_app;
GRANT SELECT ON event_generations TO erp_platform;
GRANT SELECT, DELETE ON event_receipts TO erp_platform;
GRANT SELECT ON event_failures TO erp_platform;
CREATE POLICY platform_crossing ON event_generations TO erp_platform USING (true) WITH CHECK (true);
CREATE POLICY platform_crossing ON event_receipts TO erp_platform USING (true) WITH CHECK (true);
CREATE POLICY platform_crossing ON event_failures TO erp_platform USING (true) WITH CHECK (true);
