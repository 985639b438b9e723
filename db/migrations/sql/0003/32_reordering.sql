-- When to buy what for which warehouse, and what was proposed.
CREATE TABLE reorder_rules (
    tenant_id    uuid NOT NULL,
    id           uuid NOT NULL,
    product_id   uuid NOT NULL,
    warehouse_id uuid NOT NULL,
    location_id  uuid NOT NULL,
    supplier_id  uuid NOT NULL,
    minimum      numeric NOT NULL,
    target       numeric NOT NULL,
    multiple     numeric NOT NULL,
    lead_days    integer NOT NULL,
    unit_price   numeric NOT NULL,
    active       boolean NOT NULL DEFAULT true,
    version      integer NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT reorder_rules_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT reorder_rules_product_key UNIQUE (tenant_id, product_id, warehouse_id),
    CONSTRAINT reorder_rules_product FOREIGN KEY (tenant_id, product_id) REFERENCES products (tenant_id, id),
    CONSTRAINT reorder_rules_warehouse FOREIGN KEY (tenant_id, warehouse_id) REFERENCES warehouses (tenant_id, id),
    CONSTRAINT reorder_rules_location FOREIGN KEY (tenant_id, location_id) REFERENCES locations (tenant_id, id),
    CONSTRAINT reorder_rules_supplier FOREIGN KEY (tenant_id, supplier_id) REFERENCES parties (tenant_id, id),
    CONSTRAINT reorder_rules_quantities_check
        CHECK (minimum >= 0 AND target >= minimum AND target < 'Infinity' AND multiple > 0 AND multiple < 'Infinity'),
    CONSTRAINT reorder_rules_lead_check CHECK (lead_days >= 0),
    CONSTRAINT reorder_rules_price_check CHECK (unit_price >= 0 AND unit_price < 'Infinity')
);
CREATE INDEX reorder_rules_by_created ON reorder_rules (tenant_id, created_at, id);

-- Quantities in the product's own unit. What was there when it was proposed stays for whoever decides.
CREATE TABLE purchase_proposals (
    tenant_id   uuid NOT NULL,
    id          uuid NOT NULL,
    rule_id     uuid NOT NULL,
    product_id  uuid NOT NULL,
    supplier_id uuid NOT NULL,
    location_id uuid NOT NULL,
    state       text NOT NULL DEFAULT 'open',
    quantity    numeric NOT NULL,
    unit_price  numeric NOT NULL,
    available   numeric NOT NULL,
    incoming    numeric NOT NULL,
    expected_on date NOT NULL,
    order_id    uuid,
    reason      text NOT NULL DEFAULT '',
    version     integer NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT purchase_proposals_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT purchase_proposals_rule FOREIGN KEY (tenant_id, rule_id) REFERENCES reorder_rules (tenant_id, id),
    CONSTRAINT purchase_proposals_product FOREIGN KEY (tenant_id, product_id) REFERENCES products (tenant_id, id),
    CONSTRAINT purchase_proposals_supplier FOREIGN KEY (tenant_id, supplier_id) REFERENCES parties (tenant_id, id),
    CONSTRAINT purchase_proposals_location FOREIGN KEY (tenant_id, location_id) REFERENCES locations (tenant_id, id),
    CONSTRAINT purchase_proposals_order FOREIGN KEY (tenant_id, order_id) REFERENCES purchase_orders (tenant_id, id),
    CONSTRAINT purchase_proposals_order_key UNIQUE (tenant_id, order_id),
    CONSTRAINT purchase_proposals_state_check CHECK (state IN ('open', 'accepted', 'dismissed')),
    CONSTRAINT purchase_proposals_order_check CHECK ((state = 'accepted') = (order_id IS NOT NULL)),
    CONSTRAINT purchase_proposals_quantity_check CHECK (quantity > 0 AND quantity < 'Infinity'),
    CONSTRAINT purchase_proposals_price_check CHECK (unit_price >= 0 AND unit_price < 'Infinity'),
    CONSTRAINT purchase_proposals_found_check
        CHECK (available > '-Infinity' AND available < 'Infinity' AND incoming >= 0 AND incoming < 'Infinity')
);
-- At most one that is open for a rule, whoever looks at once.
CREATE UNIQUE INDEX purchase_proposals_open_key ON purchase_proposals (tenant_id, rule_id) WHERE state = 'open';
CREATE INDEX purchase_proposals_by_created ON purchase_proposals (tenant_id, created_at, id);
CREATE INDEX purchase_proposals_by_rule ON purchase_proposals (tenant_id, rule_id, created_at, id);
