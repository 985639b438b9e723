-- Sales orders, what was delivered of them and what came back.
-- Quantities of lines are in the line's unit; `base_quantity` is the same in the product's base unit, so that
-- base_quantity / quantity is the exact ratio of the two; `base_decimals` is how many decimals that one may have.

CREATE TABLE sales_orders (
    tenant_id          uuid NOT NULL,
    id                 uuid NOT NULL,
    number             text NOT NULL,
    state              text NOT NULL,
    party_id           uuid NOT NULL,
    location_id        uuid NOT NULL,
    date               date NOT NULL,
    currency           text NOT NULL,
    prices_include_tax boolean NOT NULL,
    tax_rounding       text NOT NULL,
    payment_terms_days integer NOT NULL,
    net                numeric NOT NULL,
    tax                numeric NOT NULL,
    gross              numeric NOT NULL,
    line_count         integer NOT NULL,
    reference          text NOT NULL DEFAULT '',
    text               text NOT NULL DEFAULT '',
    cancel_reason      text NOT NULL DEFAULT '',
    direct             boolean NOT NULL DEFAULT false,
    external_id        text,
    confirmed_at       timestamptz,
    version            integer NOT NULL DEFAULT 1,
    created_at         timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT sales_orders_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT sales_orders_number_key UNIQUE (tenant_id, number),
    CONSTRAINT sales_orders_external_id_key UNIQUE (tenant_id, external_id),
    CONSTRAINT sales_orders_party FOREIGN KEY (tenant_id, party_id) REFERENCES parties (tenant_id, id),
    CONSTRAINT sales_orders_location FOREIGN KEY (tenant_id, location_id) REFERENCES locations (tenant_id, id),
    CONSTRAINT sales_orders_state_check
        CHECK (state IN ('draft', 'confirmed', 'partially_delivered', 'delivered', 'cancelled')),
    CONSTRAINT sales_orders_tax_rounding_check CHECK (tax_rounding IN ('line', 'document')),
    CONSTRAINT sales_orders_payment_terms_check CHECK (payment_terms_days >= 0),
    CONSTRAINT sales_orders_line_count_check CHECK (line_count >= 1),
    CONSTRAINT sales_orders_total_check
        CHECK (gross = net + tax AND gross > '-Infinity' AND gross < 'Infinity')
);
CREATE INDEX sales_orders_by_created ON sales_orders (tenant_id, created_at, id);
CREATE INDEX sales_orders_by_date ON sales_orders (tenant_id, date, id);
CREATE INDEX sales_orders_by_party ON sales_orders (tenant_id, party_id, created_at, id);
CREATE INDEX sales_orders_by_state ON sales_orders (tenant_id, state, created_at, id);

CREATE TABLE sales_order_lines (
    tenant_id        uuid NOT NULL,
    id               uuid NOT NULL,
    order_id         uuid NOT NULL,
    line_no          integer NOT NULL,
    product_id       uuid NOT NULL,
    kind             text NOT NULL,
    description      text NOT NULL,
    quantity         numeric NOT NULL,
    unit_code        text NOT NULL,
    base_quantity    numeric NOT NULL,
    base_decimals    integer NOT NULL DEFAULT 6,
    unit_price       numeric NOT NULL,
    discount_percent numeric NOT NULL DEFAULT 0,
    tax_group_id     uuid,
    tax_rate         numeric NOT NULL,
    net              numeric NOT NULL,
    tax              numeric NOT NULL,
    gross            numeric NOT NULL,
    cancelled        numeric NOT NULL DEFAULT 0,
    delivered        numeric NOT NULL DEFAULT 0,
    returned         numeric NOT NULL DEFAULT 0,
    CONSTRAINT sales_order_lines_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT sales_order_lines_line_no_key UNIQUE (tenant_id, order_id, line_no),
    CONSTRAINT sales_order_lines_order FOREIGN KEY (tenant_id, order_id) REFERENCES sales_orders (tenant_id, id),
    CONSTRAINT sales_order_lines_product FOREIGN KEY (tenant_id, product_id) REFERENCES products (tenant_id, id),
    CONSTRAINT sales_order_lines_kind_check CHECK (kind IN ('stocked', 'service')),
    CONSTRAINT sales_order_lines_quantity_check CHECK (quantity > 0 AND quantity < 'Infinity'),
    CONSTRAINT sales_order_lines_base_quantity_check CHECK (base_quantity > 0 AND base_quantity < 'Infinity'),
    CONSTRAINT sales_order_lines_unit_price_check CHECK (unit_price >= 0 AND unit_price < 'Infinity'),
    CONSTRAINT sales_order_lines_discount_check CHECK (discount_percent BETWEEN 0 AND 100),
    CONSTRAINT sales_order_lines_tax_rate_check CHECK (tax_rate BETWEEN 0 AND 1000),
    CONSTRAINT sales_order_lines_total_check
        CHECK (gross = net + tax AND gross > '-Infinity' AND gross < 'Infinity'),
    CONSTRAINT sales_order_lines_cancelled_check CHECK (cancelled >= 0 AND cancelled <= quantity),
    CONSTRAINT sales_order_lines_delivered_check CHECK (delivered >= 0 AND delivered <= quantity - cancelled),
    CONSTRAINT sales_order_lines_returned_check CHECK (returned >= 0 AND returned <= delivered)
);
CREATE INDEX sales_order_lines_by_product ON sales_order_lines (tenant_id, product_id);

CREATE TABLE deliveries (
    tenant_id       uuid NOT NULL,
    id              uuid NOT NULL,
    number          text NOT NULL,
    order_id        uuid NOT NULL,
    party_id        uuid NOT NULL,
    location_id     uuid NOT NULL,
    date            date NOT NULL,
    accounting_date date NOT NULL,
    cost            numeric NOT NULL,
    line_count      integer NOT NULL,
    entry_id        uuid,
    text            text NOT NULL DEFAULT '',
    external_id     text,
    version         integer NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT deliveries_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT deliveries_number_key UNIQUE (tenant_id, number),
    CONSTRAINT deliveries_external_id_key UNIQUE (tenant_id, external_id),
    CONSTRAINT deliveries_order FOREIGN KEY (tenant_id, order_id) REFERENCES sales_orders (tenant_id, id),
    CONSTRAINT deliveries_entry FOREIGN KEY (tenant_id, entry_id) REFERENCES journal_entries (tenant_id, id),
    CONSTRAINT deliveries_cost_check CHECK (cost >= 0 AND cost < 'Infinity')
);
CREATE INDEX deliveries_by_order ON deliveries (tenant_id, order_id);
CREATE INDEX deliveries_by_created ON deliveries (tenant_id, created_at, id);
CREATE INDEX deliveries_by_date ON deliveries (tenant_id, date, id);
CREATE INDEX deliveries_by_party ON deliveries (tenant_id, party_id, created_at, id);

CREATE TABLE delivery_lines (
    tenant_id     uuid NOT NULL,
    id            uuid NOT NULL,
    delivery_id   uuid NOT NULL,
    line_no       integer NOT NULL,
    order_line_id uuid NOT NULL,
    product_id    uuid NOT NULL,
    quantity      numeric NOT NULL,
    unit_code     text NOT NULL,
    base_quantity numeric NOT NULL,
    base_decimals integer NOT NULL DEFAULT 6,
    unit_cost     numeric NOT NULL,
    cost          numeric NOT NULL,
    returned      numeric NOT NULL DEFAULT 0,
    returned_cost numeric NOT NULL DEFAULT 0,
    CONSTRAINT delivery_lines_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT delivery_lines_line_no_key UNIQUE (tenant_id, delivery_id, line_no),
    CONSTRAINT delivery_lines_delivery FOREIGN KEY (tenant_id, delivery_id) REFERENCES deliveries (tenant_id, id),
    CONSTRAINT delivery_lines_order_line FOREIGN KEY (tenant_id, order_line_id)
        REFERENCES sales_order_lines (tenant_id, id),
    CONSTRAINT delivery_lines_quantity_check CHECK (quantity > 0 AND quantity < 'Infinity'),
    CONSTRAINT delivery_lines_base_quantity_check CHECK (base_quantity > 0 AND base_quantity < 'Infinity'),
    CONSTRAINT delivery_lines_unit_cost_check CHECK (unit_cost >= 0 AND unit_cost < 'Infinity'),
    CONSTRAINT delivery_lines_cost_check CHECK (cost >= 0 AND cost < 'Infinity'),
    CONSTRAINT delivery_lines_returned_check CHECK (returned >= 0 AND returned <= quantity),
    CONSTRAINT delivery_lines_returned_cost_check CHECK (returned_cost >= 0 AND returned_cost <= cost)
);
CREATE INDEX delivery_lines_by_order_line ON delivery_lines (tenant_id, order_line_id);

-- Goods that came back, of a delivery or (with its credit note) without one. Never changed.
CREATE TABLE sales_returns (
    tenant_id       uuid NOT NULL,
    id              uuid NOT NULL,
    number          text NOT NULL,
    delivery_id     uuid,
    order_id        uuid,
    credit_note_id  uuid,
    party_id        uuid NOT NULL,
    location_id     uuid NOT NULL,
    date            date NOT NULL,
    accounting_date date NOT NULL,
    cost            numeric NOT NULL,
    line_count      integer NOT NULL,
    reason          text NOT NULL DEFAULT '',
    entry_id        uuid,
    external_id     text,
    version         integer NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT sales_returns_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT sales_returns_number_key UNIQUE (tenant_id, number),
    CONSTRAINT sales_returns_external_id_key UNIQUE (tenant_id, external_id),
    CONSTRAINT sales_returns_delivery FOREIGN KEY (tenant_id, delivery_id) REFERENCES deliveries (tenant_id, id),
    CONSTRAINT sales_returns_order FOREIGN KEY (tenant_id, order_id) REFERENCES sales_orders (tenant_id, id),
    CONSTRAINT sales_returns_credit_note FOREIGN KEY (tenant_id, credit_note_id) REFERENCES invoices (tenant_id, id),
    CONSTRAINT sales_returns_party FOREIGN KEY (tenant_id, party_id) REFERENCES parties (tenant_id, id),
    CONSTRAINT sales_returns_location FOREIGN KEY (tenant_id, location_id) REFERENCES locations (tenant_id, id),
    CONSTRAINT sales_returns_entry FOREIGN KEY (tenant_id, entry_id) REFERENCES journal_entries (tenant_id, id),
    CONSTRAINT sales_returns_cost_check CHECK (cost >= 0 AND cost < 'Infinity'),
    CONSTRAINT sales_returns_origin_check CHECK ((delivery_id IS NULL) = (order_id IS NULL))
);
CREATE INDEX sales_returns_by_delivery ON sales_returns (tenant_id, delivery_id) WHERE delivery_id IS NOT NULL;
CREATE INDEX sales_returns_by_created ON sales_returns (tenant_id, created_at, id);
CREATE INDEX sales_returns_by_date ON sales_returns (tenant_id, date, id);

CREATE TABLE sales_return_lines (
    tenant_id        uuid NOT NULL,
    id               uuid NOT NULL,
    return_id        uuid NOT NULL,
    line_no          integer NOT NULL,
    delivery_line_id uuid,
    product_id       uuid NOT NULL,
    quantity         numeric NOT NULL,
    unit_code        text NOT NULL,
    base_quantity    numeric NOT NULL,
    unit_cost        numeric NOT NULL,
    cost             numeric NOT NULL,
    CONSTRAINT sales_return_lines_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT sales_return_lines_line_no_key UNIQUE (tenant_id, return_id, line_no),
    CONSTRAINT sales_return_lines_return FOREIGN KEY (tenant_id, return_id) REFERENCES sales_returns (tenant_id, id),
    CONSTRAINT sales_return_lines_delivery_line FOREIGN KEY (tenant_id, delivery_line_id)
        REFERENCES delivery_lines (tenant_id, id),
    CONSTRAINT sales_return_lines_product FOREIGN KEY (tenant_id, product_id) REFERENCES products (tenant_id, id),
    CONSTRAINT sales_return_lines_quantity_check CHECK (quantity > 0 AND quantity < 'Infinity'),
    CONSTRAINT sales_return_lines_base_quantity_check CHECK (base_quantity > 0 AND base_quantity < 'Infinity'),
    CONSTRAINT sales_return_lines_unit_cost_check CHECK (unit_cost >= 0 AND unit_cost < 'Infinity'),
    CONSTRAINT sales_return_lines_cost_check CHECK (cost >= 0 AND cost < 'Infinity')
);
CREATE INDEX sales_return_lines_by_delivery_line ON sales_return_lines (tenant_id, delivery_line_id)
    WHERE delivery_line_id IS NOT NULL;
CREATE INDEX sales_returns_by_credit_note ON sales_returns (tenant_id, credit_note_id)
    WHERE credit_note_id IS NOT NULL;
