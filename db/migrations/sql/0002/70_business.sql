-- What the business rules added: the order an invoice belongs to, credit limits, corrections of costs.
-- The owner is no member of the fence's policy: where rows are read here, the fence is lifted for the moment.

ALTER TABLE invoices NO FORCE ROW LEVEL SECURITY;
ALTER TABLE sales_orders NO FORCE ROW LEVEL SECURITY;
ALTER TABLE invoices ADD CONSTRAINT invoices_order
    FOREIGN KEY (tenant_id, order_id) REFERENCES sales_orders (tenant_id, id);
ALTER TABLE sales_orders FORCE ROW LEVEL SECURITY;
ALTER TABLE invoices FORCE ROW LEVEL SECURITY;

-- Nothing of the order is left to be invoiced. False is never wrong, it only means: look at the lines. An invoice
-- cancelled or credited since makes its order count again, whatever this says (invoices_reopening).
ALTER TABLE sales_orders ADD COLUMN billed boolean NOT NULL DEFAULT false;

-- What a party's credit exposure is made of, without its history.
CREATE INDEX sales_orders_to_bill ON sales_orders (tenant_id, party_id, id)
    WHERE NOT billed AND state IN ('confirmed', 'partially_delivered', 'delivered');
CREATE INDEX invoices_reopening ON invoices (tenant_id, party_id, order_id)
    WHERE order_id IS NOT NULL AND (kind = 'credit_note' OR state = 'cancelled');
CREATE INDEX open_items_of_party ON open_items (tenant_id, party_id) WHERE settled_on IS NULL;
CREATE INDEX payments_unallocated ON payments (tenant_id, party_id) WHERE unallocated > 0;

-- The day of the product's latest move: a document of an earlier day has later ones to look at.
ALTER TABLE product_costs ADD COLUMN last_on date;
ALTER TABLE product_costs NO FORCE ROW LEVEL SECURITY;
ALTER TABLE stock_moves NO FORCE ROW LEVEL SECURITY;
UPDATE product_costs c SET last_on = m.last_on
FROM (SELECT tenant_id, product_id, max(date) AS last_on FROM stock_moves GROUP BY tenant_id, product_id) m
WHERE m.tenant_id = c.tenant_id AND m.product_id = c.product_id;
ALTER TABLE stock_moves FORCE ROW LEVEL SECURITY;
ALTER TABLE product_costs FORCE ROW LEVEL SECURITY;

-- A correction moves value only: its quantity is zero.
ALTER TABLE stock_moves
    DROP CONSTRAINT stock_moves_kind_check,
    DROP CONSTRAINT stock_moves_quantity_check,
    ADD CONSTRAINT stock_moves_kind_check
        CHECK (kind IN ('receipt', 'delivery', 'return', 'adjustment', 'correction')),
    ADD CONSTRAINT stock_moves_quantity_check
        CHECK ((quantity = 0) = (kind = 'correction') AND quantity > '-Infinity' AND quantity < 'Infinity');

-- What a document of an earlier day changed of the costs of later issues: one entry, dated when it was recorded.
CREATE TABLE cost_corrections (
    tenant_id       uuid NOT NULL,
    id              uuid NOT NULL,
    number          text NOT NULL,
    date            date NOT NULL,
    accounting_date date NOT NULL,
    effective_from  date NOT NULL,
    source_type     text NOT NULL,
    source_id       uuid NOT NULL,
    source_number   text NOT NULL,
    currency        text NOT NULL,
    value           numeric NOT NULL,
    line_count      integer NOT NULL,
    entry_id        uuid NOT NULL,
    version         integer NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT cost_corrections_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT cost_corrections_number_key UNIQUE (tenant_id, number),
    CONSTRAINT cost_corrections_source_key UNIQUE (tenant_id, source_id),
    CONSTRAINT cost_corrections_entry FOREIGN KEY (tenant_id, entry_id) REFERENCES journal_entries (tenant_id, id),
    CONSTRAINT cost_corrections_value_check CHECK (value > '-Infinity' AND value < 'Infinity'),
    CONSTRAINT cost_corrections_line_count_check CHECK (line_count > 0)
);
CREATE INDEX cost_corrections_by_created ON cost_corrections (tenant_id, created_at, id);

-- One row an issue whose cost was put right: `amount` is what the value of stock gains by it.
CREATE TABLE cost_correction_lines (
    tenant_id     uuid NOT NULL,
    correction_id uuid NOT NULL,
    move_id       uuid NOT NULL,
    product_id    uuid NOT NULL,
    amount        numeric NOT NULL,
    CONSTRAINT cost_correction_lines_pkey PRIMARY KEY (tenant_id, correction_id, move_id),
    CONSTRAINT cost_correction_lines_correction FOREIGN KEY (tenant_id, correction_id)
        REFERENCES cost_corrections (tenant_id, id),
    CONSTRAINT cost_correction_lines_move FOREIGN KEY (tenant_id, move_id) REFERENCES stock_moves (tenant_id, id),
    CONSTRAINT cost_correction_lines_amount_check
        CHECK (amount <> 0 AND amount > '-Infinity' AND amount < 'Infinity')
);
CREATE INDEX cost_correction_lines_by_move ON cost_correction_lines (tenant_id, move_id);
