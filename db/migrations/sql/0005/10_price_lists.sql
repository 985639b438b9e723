-- Price lists: what customers who have one pay, by quantity and day.

CREATE TABLE price_lists (
    tenant_id   uuid NOT NULL,
    id          uuid NOT NULL,
    code        text NOT NULL,
    name        text NOT NULL,
    currency    text NOT NULL,
    active      boolean NOT NULL DEFAULT true,
    external_id text,
    version     integer NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT price_lists_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT price_lists_code_key UNIQUE (tenant_id, code),
    CONSTRAINT price_lists_external_id_key UNIQUE (tenant_id, external_id)
);
CREATE INDEX price_lists_by_created ON price_lists (tenant_id, created_at, id);

-- Both days count. `min_quantity` in the product's own unit, `unit_price` for one of it. Written under the list's row
-- lock, which keeps the spans of a product's price from the same quantity apart.
CREATE TABLE price_list_items (
    tenant_id     uuid NOT NULL,
    id            uuid NOT NULL,
    price_list_id uuid NOT NULL,
    product_id    uuid NOT NULL,
    min_quantity  numeric NOT NULL,
    valid_from    date NOT NULL,
    valid_to      date,
    unit_price    numeric NOT NULL,
    CONSTRAINT price_list_items_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT price_list_items_price_key UNIQUE (tenant_id, price_list_id, product_id, min_quantity, valid_from),
    CONSTRAINT price_list_items_list FOREIGN KEY (tenant_id, price_list_id) REFERENCES price_lists (tenant_id, id),
    CONSTRAINT price_list_items_product FOREIGN KEY (tenant_id, product_id) REFERENCES products (tenant_id, id),
    CONSTRAINT price_list_items_quantity_check CHECK (min_quantity > 0 AND min_quantity < 'Infinity'),
    CONSTRAINT price_list_items_span_check CHECK (valid_to >= valid_from),
    CONSTRAINT price_list_items_price_check CHECK (unit_price >= 0 AND unit_price < 'Infinity')
);
CREATE INDEX price_list_items_by_product ON price_list_items (tenant_id, price_list_id, product_id, id);
CREATE INDEX price_list_items_by_start ON price_list_items (tenant_id, price_list_id, valid_from, id);
