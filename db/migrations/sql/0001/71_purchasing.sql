-- Purchase orders, what was received of them and what suppliers billed.
-- Quantities of lines are in the line's unit; `base_quantity` is the same in the product's base unit, so that
-- base_quantity / quantity is the exact ratio of the two. Values are net, in the tenant's currency.

CREATE TABLE purchase_orders (
    tenant_id          uuid NOT NULL,
    id                 uuid NOT NULL,
    number             text NOT NULL,
    state              text NOT NULL,
    party_id           uuid NOT NULL,
    location_id        uuid NOT NULL,
    date               date NOT NULL,
    expected_on        date,
    currency           text NOT NULL,
    prices_include_tax boolean NOT NULL,
    tax_rounding       text NOT NULL,
    net                numeric NOT NULL,
    tax                numeric NOT NULL,
    gross              numeric NOT NULL,
    line_count         integer NOT NULL,
    reference          text NOT NULL DEFAULT '',
    text               text NOT NULL DEFAULT '',
    reason             text NOT NULL DEFAULT '',
    external_id        text,
    confirmed_at       timestamptz,
    version            integer NOT NULL DEFAULT 1,
    created_at         timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT purchase_orders_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT purchase_orders_number_key UNIQUE (tenant_id, number),
    CONSTRAINT purchase_orders_external_id_key UNIQUE (tenant_id, external_id),
    CONSTRAINT purchase_orders_party FOREIGN KEY (tenant_id, party_id) REFERENCES parties (tenant_id, id),
    CONSTRAINT purchase_orders_location FOREIGN KEY (tenant_id, location_id) REFERENCES locations (tenant_id, id),
    CONSTRAINT purchase_orders_state_check CHECK (
        state IN ('draft', 'confirmed', 'partially_received', 'received', 'billed', 'cancelled')),
    CONSTRAINT purchase_orders_tax_rounding_check CHECK (tax_rounding IN ('line', 'document')),
    CONSTRAINT purchase_orders_line_count_check CHECK (line_count >= 1),
    CONSTRAINT purchase_orders_total_check
        CHECK (gross = net + tax AND gross > '-Infinity' AND gross < 'Infinity')
);
CREATE INDEX purchase_orders_by_created ON purchase_orders (tenant_id, created_at, id);
CREATE INDEX purchase_orders_by_date ON purchase_orders (tenant_id, date, id);
CREATE INDEX purchase_orders_by_party ON purchase_orders (tenant_id, party_id, created_at, id);
CREATE INDEX purchase_orders_by_state ON purchase_orders (tenant_id, state, created_at, id);

-- What was received and not billed yet, received_value - billed_value, stands on the account for goods
-- received, bill outstanding.
CREATE TABLE purchase_order_lines (
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
    unit_price       numeric NOT NULL,
    discount_percent numeric NOT NULL,
    tax_group_id     uuid,
    tax_rate         numeric NOT NULL,
    net              numeric NOT NULL,
    tax              numeric NOT NULL,
    gross            numeric NOT NULL,
    cancelled        numeric NOT NULL DEFAULT 0,
    received         numeric NOT NULL DEFAULT 0,
    received_value   numeric NOT NULL DEFAULT 0,
    billed           numeric NOT NULL DEFAULT 0,
    billed_value     numeric NOT NULL DEFAULT 0,
    CONSTRAINT purchase_order_lines_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT purchase_order_lines_line_no_key UNIQUE (tenant_id, order_id, line_no),
    CONSTRAINT purchase_order_lines_order FOREIGN KEY (tenant_id, order_id)
        REFERENCES purchase_orders (tenant_id, id),
    CONSTRAINT purchase_order_lines_product FOREIGN KEY (tenant_id, product_id) REFERENCES products (tenant_id, id),
    CONSTRAINT purchase_order_lines_kind_check CHECK (kind IN ('stocked', 'service')),
    CONSTRAINT purchase_order_lines_quantity_check CHECK (quantity > 0 AND quantity < 'Infinity'),
    CONSTRAINT purchase_order_lines_base_quantity_check CHECK (base_quantity > 0 AND base_quantity < 'Infinity'),
    CONSTRAINT purchase_order_lines_unit_price_check CHECK (unit_price >= 0 AND unit_price < 'Infinity'),
    CONSTRAINT purchase_order_lines_discount_check CHECK (discount_percent BETWEEN 0 AND 100),
    CONSTRAINT purchase_order_lines_tax_rate_check CHECK (tax_rate BETWEEN 0 AND 100),
    CONSTRAINT purchase_order_lines_total_check CHECK (gross = net + tax AND net >= 0 AND gross < 'Infinity'),
    CONSTRAINT purchase_order_lines_cancelled_check CHECK (cancelled >= 0 AND cancelled <= quantity),
    CONSTRAINT purchase_order_lines_received_check CHECK (received >= 0 AND received <= quantity - cancelled),
    CONSTRAINT purchase_order_lines_billed_check CHECK (billed >= 0 AND billed <= received),
    CONSTRAINT purchase_order_lines_received_value_check CHECK (received_value >= 0 AND received_value <= net),
    CONSTRAINT purchase_order_lines_billed_value_check
        CHECK (billed_value >= 0 AND billed_value <= received_value AND (billed < received OR billed_value = received_value))
);
CREATE INDEX purchase_order_lines_by_product ON purchase_order_lines (tenant_id, product_id);

-- Goods as they came in: numbered, posted and never changed.
CREATE TABLE goods_receipts (
    tenant_id       uuid NOT NULL,
    id              uuid NOT NULL,
    number          text NOT NULL,
    order_id        uuid NOT NULL,
    party_id        uuid NOT NULL,
    location_id     uuid NOT NULL,
    date            date NOT NULL,
    accounting_date date NOT NULL,
    currency        text NOT NULL,
    value           numeric NOT NULL,
    line_count      integer NOT NULL,
    reference       text NOT NULL DEFAULT '',
    text            text NOT NULL DEFAULT '',
    entry_id        uuid,
    external_id     text,
    version         integer NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT goods_receipts_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT goods_receipts_number_key UNIQUE (tenant_id, number),
    CONSTRAINT goods_receipts_external_id_key UNIQUE (tenant_id, external_id),
    CONSTRAINT goods_receipts_order FOREIGN KEY (tenant_id, order_id) REFERENCES purchase_orders (tenant_id, id),
    CONSTRAINT goods_receipts_location FOREIGN KEY (tenant_id, location_id) REFERENCES locations (tenant_id, id),
    CONSTRAINT goods_receipts_entry FOREIGN KEY (tenant_id, entry_id) REFERENCES journal_entries (tenant_id, id),
    CONSTRAINT goods_receipts_line_count_check CHECK (line_count >= 1),
    CONSTRAINT goods_receipts_value_check CHECK (value >= 0 AND value < 'Infinity'),
    CONSTRAINT goods_receipts_posted_check CHECK ((value = 0) = (entry_id IS NULL))
);
CREATE INDEX goods_receipts_by_created ON goods_receipts (tenant_id, created_at, id);
CREATE INDEX goods_receipts_by_date ON goods_receipts (tenant_id, date, id);
CREATE INDEX goods_receipts_by_order ON goods_receipts (tenant_id, order_id, id);
CREATE INDEX goods_receipts_by_party ON goods_receipts (tenant_id, party_id, created_at, id);

CREATE TABLE goods_receipt_lines (
    tenant_id     uuid NOT NULL,
    id            uuid NOT NULL,
    receipt_id    uuid NOT NULL,
    line_no       integer NOT NULL,
    order_line_id uuid NOT NULL,
    product_id    uuid NOT NULL,
    kind          text NOT NULL,
    quantity      numeric NOT NULL,
    unit_code     text NOT NULL,
    base_quantity numeric NOT NULL,
    value         numeric NOT NULL,
    CONSTRAINT goods_receipt_lines_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT goods_receipt_lines_line_no_key UNIQUE (tenant_id, receipt_id, line_no),
    CONSTRAINT goods_receipt_lines_receipt FOREIGN KEY (tenant_id, receipt_id)
        REFERENCES goods_receipts (tenant_id, id),
    CONSTRAINT goods_receipt_lines_order_line FOREIGN KEY (tenant_id, order_line_id)
        REFERENCES purchase_order_lines (tenant_id, id),
    CONSTRAINT goods_receipt_lines_quantity_check CHECK (quantity > 0 AND quantity < 'Infinity'),
    CONSTRAINT goods_receipt_lines_base_quantity_check CHECK (base_quantity > 0 AND base_quantity < 'Infinity'),
    CONSTRAINT goods_receipt_lines_value_check CHECK (value >= 0 AND value < 'Infinity')
);
CREATE INDEX goods_receipt_lines_by_order_line ON goods_receipt_lines (tenant_id, order_line_id);
CREATE INDEX goods_receipt_lines_by_product ON goods_receipt_lines (tenant_id, product_id);

-- Suppliers' bills, matched to what was received. Posted when they are entered; only cancelling touches them again.
CREATE TABLE supplier_bills (
    tenant_id          uuid NOT NULL,
    id                 uuid NOT NULL,
    number             text NOT NULL,
    supplier_number    text NOT NULL,
    state              text NOT NULL DEFAULT 'posted',
    party_id           uuid NOT NULL,
    date               date NOT NULL,
    due_date           date NOT NULL,
    accounting_date    date NOT NULL,
    currency           text NOT NULL,
    prices_include_tax boolean NOT NULL,
    tax_rounding       text NOT NULL,
    net                numeric NOT NULL,
    tax                numeric NOT NULL,
    rounding           numeric NOT NULL,
    gross              numeric NOT NULL,
    receipt_value      numeric NOT NULL,
    variance           numeric NOT NULL,
    line_count         integer NOT NULL,
    text               text NOT NULL DEFAULT '',
    entry_id           uuid,
    cancel_entry_id    uuid,
    cancelled_on       date,
    cancel_reason      text NOT NULL DEFAULT '',
    external_id        text,
    version            integer NOT NULL DEFAULT 1,
    created_at         timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT supplier_bills_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT supplier_bills_number_key UNIQUE (tenant_id, number),
    CONSTRAINT supplier_bills_external_id_key UNIQUE (tenant_id, external_id),
    CONSTRAINT supplier_bills_party FOREIGN KEY (tenant_id, party_id) REFERENCES parties (tenant_id, id),
    CONSTRAINT supplier_bills_entry FOREIGN KEY (tenant_id, entry_id) REFERENCES journal_entries (tenant_id, id),
    CONSTRAINT supplier_bills_cancel_entry FOREIGN KEY (tenant_id, cancel_entry_id)
        REFERENCES journal_entries (tenant_id, id),
    CONSTRAINT supplier_bills_state_check CHECK (state IN ('posted', 'cancelled')),
    CONSTRAINT supplier_bills_cancelled_check CHECK ((state = 'cancelled') = (cancelled_on IS NOT NULL)),
    CONSTRAINT supplier_bills_tax_rounding_check CHECK (tax_rounding IN ('line', 'document')),
    CONSTRAINT supplier_bills_line_count_check CHECK (line_count >= 1),
    CONSTRAINT supplier_bills_due_check CHECK (due_date >= date),
    CONSTRAINT supplier_bills_total_check CHECK (gross = net + tax + rounding AND gross >= 0 AND gross < 'Infinity'),
    CONSTRAINT supplier_bills_receipt_value_check CHECK (receipt_value >= 0 AND receipt_value < 'Infinity'),
    CONSTRAINT supplier_bills_variance_check
        CHECK (variance = net - receipt_value AND variance > '-Infinity' AND variance < 'Infinity')
);
-- A supplier's own number comes once, unless the first bill with it was a mistake and is cancelled.
CREATE UNIQUE INDEX supplier_bills_supplier_number_key ON supplier_bills (tenant_id, party_id, supplier_number)
    WHERE state = 'posted';
CREATE INDEX supplier_bills_by_created ON supplier_bills (tenant_id, created_at, id);
CREATE INDEX supplier_bills_by_date ON supplier_bills (tenant_id, date, id);
CREATE INDEX supplier_bills_by_due ON supplier_bills (tenant_id, due_date, id);
CREATE INDEX supplier_bills_by_party ON supplier_bills (tenant_id, party_id, created_at, id);

CREATE TABLE supplier_bill_lines (
    tenant_id        uuid NOT NULL,
    bill_id          uuid NOT NULL,
    line_no          integer NOT NULL,
    order_id         uuid NOT NULL,
    order_line_id    uuid NOT NULL,
    product_id       uuid NOT NULL,
    description      text NOT NULL,
    quantity         numeric NOT NULL,
    unit_code        text NOT NULL,
    unit_price       numeric NOT NULL,
    discount_percent numeric NOT NULL,
    tax_group_id     uuid,
    tax_rate         numeric NOT NULL,
    net              numeric NOT NULL,
    tax              numeric NOT NULL,
    gross            numeric NOT NULL,
    receipt_value    numeric NOT NULL,
    CONSTRAINT supplier_bill_lines_pkey PRIMARY KEY (tenant_id, bill_id, line_no),
    CONSTRAINT supplier_bill_lines_bill FOREIGN KEY (tenant_id, bill_id) REFERENCES supplier_bills (tenant_id, id),
    CONSTRAINT supplier_bill_lines_order_line FOREIGN KEY (tenant_id, order_line_id)
        REFERENCES purchase_order_lines (tenant_id, id),
    CONSTRAINT supplier_bill_lines_quantity_check CHECK (quantity > 0 AND quantity < 'Infinity'),
    CONSTRAINT supplier_bill_lines_unit_price_check CHECK (unit_price >= 0 AND unit_price < 'Infinity'),
    CONSTRAINT supplier_bill_lines_discount_check CHECK (discount_percent BETWEEN 0 AND 100),
    CONSTRAINT supplier_bill_lines_tax_rate_check CHECK (tax_rate BETWEEN 0 AND 100),
    CONSTRAINT supplier_bill_lines_total_check CHECK (gross = net + tax AND net >= 0 AND gross < 'Infinity'),
    CONSTRAINT supplier_bill_lines_receipt_value_check CHECK (receipt_value >= 0 AND receipt_value < 'Infinity')
);
CREATE INDEX supplier_bill_lines_by_order_line ON supplier_bill_lines (tenant_id, order_line_id);
