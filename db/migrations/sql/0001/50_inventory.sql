-- Stock: where it lies, how much of it, what it cost, how it moved and who holds it.

CREATE TABLE warehouses (
    tenant_id   uuid NOT NULL,
    id          uuid NOT NULL,
    code        text NOT NULL,
    name        text NOT NULL,
    active      boolean NOT NULL DEFAULT true,
    external_id text,
    version     integer NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT warehouses_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT warehouses_code_key UNIQUE (tenant_id, code),
    CONSTRAINT warehouses_external_id_key UNIQUE (tenant_id, external_id)
);
CREATE INDEX warehouses_by_created ON warehouses (tenant_id, created_at, id);

CREATE TABLE locations (
    tenant_id    uuid NOT NULL,
    id           uuid NOT NULL,
    warehouse_id uuid NOT NULL,
    code         text NOT NULL,
    name         text NOT NULL,
    is_default   boolean NOT NULL DEFAULT false,
    active       boolean NOT NULL DEFAULT true,
    external_id  text,
    version      integer NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT locations_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT locations_code_key UNIQUE (tenant_id, warehouse_id, code),
    CONSTRAINT locations_external_id_key UNIQUE (tenant_id, external_id),
    CONSTRAINT locations_warehouse FOREIGN KEY (tenant_id, warehouse_id) REFERENCES warehouses (tenant_id, id),
    CONSTRAINT locations_default_is_active CHECK (active OR NOT is_default)
);
-- One default location a tenant: where documents that name none take and put goods.
CREATE UNIQUE INDEX locations_one_default ON locations (tenant_id) WHERE is_default;
CREATE INDEX locations_by_created ON locations (tenant_id, created_at, id);

-- The quantities a product has in a location. The three checks are the last word on overselling.
CREATE TABLE stock_levels (
    tenant_id   uuid NOT NULL,
    product_id  uuid NOT NULL,
    location_id uuid NOT NULL,
    id          uuid NOT NULL,
    on_hand     numeric NOT NULL DEFAULT 0,
    reserved    numeric NOT NULL DEFAULT 0,
    version     integer NOT NULL DEFAULT 1,
    CONSTRAINT stock_levels_pkey PRIMARY KEY (tenant_id, product_id, location_id),
    CONSTRAINT stock_levels_id_key UNIQUE (tenant_id, id),
    CONSTRAINT stock_levels_product FOREIGN KEY (tenant_id, product_id) REFERENCES products (tenant_id, id),
    CONSTRAINT stock_levels_location FOREIGN KEY (tenant_id, location_id) REFERENCES locations (tenant_id, id),
    CONSTRAINT stock_levels_on_hand_not_negative CHECK (on_hand >= 0 AND on_hand < 'Infinity'),
    CONSTRAINT stock_levels_reserved_not_negative CHECK (reserved >= 0 AND reserved < 'Infinity'),
    CONSTRAINT stock_levels_reserved_on_hand CHECK (reserved <= on_hand)
);
-- Levels are updated all day: room on the page keeps those updates off the indexes.
ALTER TABLE stock_levels SET (fillfactor = 70);
CREATE INDEX stock_levels_by_location ON stock_levels (tenant_id, location_id, product_id);

-- Moving average per product over all locations: the unit cost is value / quantity.
CREATE TABLE product_costs (
    tenant_id  uuid NOT NULL,
    product_id uuid NOT NULL,
    quantity   numeric NOT NULL DEFAULT 0,
    value      numeric NOT NULL DEFAULT 0,
    last_cost  numeric,
    version    integer NOT NULL DEFAULT 1,
    CONSTRAINT product_costs_pkey PRIMARY KEY (tenant_id, product_id),
    CONSTRAINT product_costs_product FOREIGN KEY (tenant_id, product_id) REFERENCES products (tenant_id, id),
    CONSTRAINT product_costs_quantity_not_negative CHECK (quantity >= 0 AND quantity < 'Infinity'),
    CONSTRAINT product_costs_value_not_negative CHECK (value >= 0 AND value < 'Infinity'),
    CONSTRAINT product_costs_empty_is_worthless CHECK (quantity > 0 OR value = 0),
    CONSTRAINT product_costs_last_cost_check CHECK (last_cost >= 0 AND last_cost < 'Infinity')
);
ALTER TABLE product_costs SET (fillfactor = 70);

-- Every change of a quantity or a value, once and for ever. A move that has a value has one journal line of
-- the same amount and date; `position` orders the moves of a day. The foreign key goes to the level, whose row
-- the writer has locked anyway: one to products would have all sales of a product lock its row.
CREATE TABLE stock_moves (
    tenant_id      uuid NOT NULL,
    id             uuid NOT NULL,
    position       bigint GENERATED ALWAYS AS IDENTITY,
    product_id     uuid NOT NULL,
    location_id    uuid NOT NULL,
    date           date NOT NULL,
    kind           text NOT NULL,
    quantity       numeric NOT NULL,
    value          numeric NOT NULL,
    unit_cost      numeric NOT NULL,
    source_type    text NOT NULL,
    source_id      uuid NOT NULL,
    source_line_id uuid,
    entry_id       uuid,
    line_no        integer,
    created_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT stock_moves_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT stock_moves_entry_line_key UNIQUE (tenant_id, entry_id, line_no),
    CONSTRAINT stock_moves_level FOREIGN KEY (tenant_id, product_id, location_id)
        REFERENCES stock_levels (tenant_id, product_id, location_id),
    CONSTRAINT stock_moves_journal_line FOREIGN KEY (tenant_id, entry_id, line_no)
        REFERENCES journal_lines (tenant_id, entry_id, line_no),
    CONSTRAINT stock_moves_kind_check CHECK (kind IN ('receipt', 'delivery', 'return', 'adjustment')),
    CONSTRAINT stock_moves_quantity_check
        CHECK (quantity <> 0 AND quantity > '-Infinity' AND quantity < 'Infinity'),
    CONSTRAINT stock_moves_value_check CHECK (value > '-Infinity' AND value < 'Infinity' AND value * quantity >= 0),
    CONSTRAINT stock_moves_unit_cost_check CHECK (unit_cost >= 0 AND unit_cost < 'Infinity'),
    CONSTRAINT stock_moves_value_is_posted CHECK ((value = 0) = (entry_id IS NULL)),
    CONSTRAINT stock_moves_line_of_entry CHECK ((entry_id IS NULL) = (line_no IS NULL))
);
CREATE INDEX stock_moves_by_level ON stock_moves (tenant_id, product_id, location_id, date);
CREATE INDEX stock_moves_by_source ON stock_moves (tenant_id, source_id);
CREATE INDEX stock_moves_by_date ON stock_moves (tenant_id, date, id);
CREATE INDEX stock_moves_by_created ON stock_moves (tenant_id, created_at, id);

-- A claim on stock on hand until `expires_at`. Changed only under the row lock of its stock level.
CREATE TABLE reservations (
    tenant_id      uuid NOT NULL,
    id             uuid NOT NULL,
    product_id     uuid NOT NULL,
    location_id    uuid NOT NULL,
    state          text NOT NULL DEFAULT 'active',
    quantity       numeric NOT NULL,
    open_quantity  numeric NOT NULL,
    expires_at     timestamptz NOT NULL,
    source_type    text NOT NULL,
    source_id      uuid,
    source_line_id uuid,
    reference      text NOT NULL DEFAULT '',
    external_id    text,
    closed_at      timestamptz,
    version        integer NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT reservations_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT reservations_external_id_key UNIQUE (tenant_id, external_id),
    CONSTRAINT reservations_level FOREIGN KEY (tenant_id, product_id, location_id)
        REFERENCES stock_levels (tenant_id, product_id, location_id),
    CONSTRAINT reservations_state_check CHECK (state IN ('active', 'consumed', 'released', 'expired')),
    CONSTRAINT reservations_source_check CHECK ((source_type = 'manual') = (source_id IS NULL)),
    CONSTRAINT reservations_quantity_check CHECK (quantity > 0 AND quantity < 'Infinity'),
    CONSTRAINT reservations_open_quantity_check CHECK (open_quantity >= 0 AND open_quantity <= quantity),
    CONSTRAINT reservations_active_is_open CHECK ((state = 'active') = (open_quantity > 0)),
    CONSTRAINT reservations_closed_check CHECK ((state = 'active') = (closed_at IS NULL))
);
CREATE INDEX reservations_due ON reservations (tenant_id, expires_at, id) WHERE state = 'active';
CREATE INDEX reservations_active_by_level ON reservations (tenant_id, product_id, location_id) WHERE state = 'active';
CREATE INDEX reservations_by_source ON reservations (tenant_id, source_id);
CREATE INDEX reservations_by_created ON reservations (tenant_id, created_at, id);
CREATE INDEX reservations_by_expiry ON reservations (tenant_id, expires_at, id);

-- What suppliers still owe, kept by the documents that expect it.
CREATE TABLE incoming_stock (
    tenant_id   uuid NOT NULL,
    source_id   uuid NOT NULL,
    product_id  uuid NOT NULL,
    location_id uuid NOT NULL,
    source_type text NOT NULL,
    quantity    numeric NOT NULL,
    expected_on date,
    CONSTRAINT incoming_stock_pkey PRIMARY KEY (tenant_id, source_id, product_id, location_id),
    CONSTRAINT incoming_stock_product FOREIGN KEY (tenant_id, product_id) REFERENCES products (tenant_id, id),
    CONSTRAINT incoming_stock_location FOREIGN KEY (tenant_id, location_id) REFERENCES locations (tenant_id, id),
    CONSTRAINT incoming_stock_quantity_check CHECK (quantity > 0 AND quantity < 'Infinity')
);
CREATE INDEX incoming_stock_by_level ON incoming_stock (tenant_id, product_id, location_id);

-- Differences found, written off or taken on. Numbered, posted and never changed.
CREATE TABLE stock_adjustments (
    tenant_id       uuid NOT NULL,
    id              uuid NOT NULL,
    number          text NOT NULL,
    date            date NOT NULL,
    accounting_date date NOT NULL,
    reason          text NOT NULL,
    text            text NOT NULL DEFAULT '',
    value           numeric NOT NULL,
    line_count      integer NOT NULL,
    entry_id        uuid,
    external_id     text,
    version         integer NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT stock_adjustments_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT stock_adjustments_number_key UNIQUE (tenant_id, number),
    CONSTRAINT stock_adjustments_external_id_key UNIQUE (tenant_id, external_id),
    CONSTRAINT stock_adjustments_entry FOREIGN KEY (tenant_id, entry_id) REFERENCES journal_entries (tenant_id, id),
    CONSTRAINT stock_adjustments_value_check CHECK (value > '-Infinity' AND value < 'Infinity'),
    CONSTRAINT stock_adjustments_line_count_check CHECK (line_count > 0)
);
CREATE INDEX stock_adjustments_by_created ON stock_adjustments (tenant_id, created_at, id);
CREATE INDEX stock_adjustments_by_date ON stock_adjustments (tenant_id, date, id);

CREATE TABLE stock_adjustment_lines (
    tenant_id     uuid NOT NULL,
    id            uuid NOT NULL,
    adjustment_id uuid NOT NULL,
    line_no       integer NOT NULL,
    product_id    uuid NOT NULL,
    location_id   uuid NOT NULL,
    quantity      numeric NOT NULL,
    unit_cost     numeric NOT NULL,
    value         numeric NOT NULL,
    CONSTRAINT stock_adjustment_lines_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT stock_adjustment_lines_line_no_key UNIQUE (tenant_id, adjustment_id, line_no),
    CONSTRAINT stock_adjustment_lines_adjustment FOREIGN KEY (tenant_id, adjustment_id)
        REFERENCES stock_adjustments (tenant_id, id),
    CONSTRAINT stock_adjustment_lines_level FOREIGN KEY (tenant_id, product_id, location_id)
        REFERENCES stock_levels (tenant_id, product_id, location_id),
    CONSTRAINT stock_adjustment_lines_quantity_check
        CHECK (quantity <> 0 AND quantity > '-Infinity' AND quantity < 'Infinity'),
    CONSTRAINT stock_adjustment_lines_value_check CHECK (value > '-Infinity' AND value < 'Infinity'),
    CONSTRAINT stock_adjustment_lines_unit_cost_check CHECK (unit_cost >= 0 AND unit_cost < 'Infinity')
);
CREATE INDEX stock_adjustment_lines_by_product ON stock_adjustment_lines (tenant_id, product_id);
