-- What is bought and sold: units of measure, categories, products and the units each product also comes in.

CREATE TABLE units (
    tenant_id   uuid NOT NULL,
    id          uuid NOT NULL,
    code        text NOT NULL,
    name        text NOT NULL,
    decimals    integer NOT NULL,
    active      boolean NOT NULL DEFAULT true,
    external_id text,
    version     integer NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT units_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT units_code_key UNIQUE (tenant_id, code),
    CONSTRAINT units_external_id_key UNIQUE (tenant_id, external_id),
    CONSTRAINT units_decimals_check CHECK (decimals BETWEEN 0 AND 6)
);
CREATE INDEX units_by_created ON units (tenant_id, created_at, id);

CREATE TABLE categories (
    tenant_id   uuid NOT NULL,
    id          uuid NOT NULL,
    code        text NOT NULL,
    name        text NOT NULL,
    parent_id   uuid,
    active      boolean NOT NULL DEFAULT true,
    external_id text,
    version     integer NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT categories_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT categories_code_key UNIQUE (tenant_id, code),
    CONSTRAINT categories_external_id_key UNIQUE (tenant_id, external_id),
    CONSTRAINT categories_parent FOREIGN KEY (tenant_id, parent_id) REFERENCES categories (tenant_id, id),
    CONSTRAINT categories_parent_check CHECK (parent_id <> id)
);
CREATE INDEX categories_by_created ON categories (tenant_id, created_at, id);
CREATE INDEX categories_by_parent ON categories (tenant_id, parent_id, id);

-- The tax group's foreign key is added where tax groups are made.
CREATE TABLE products (
    tenant_id     uuid NOT NULL,
    id            uuid NOT NULL,
    code          text NOT NULL,
    name          text NOT NULL,
    kind          text NOT NULL,
    unit_id       uuid NOT NULL,
    category_id   uuid,
    sale_price    numeric,
    tax_group_id  uuid,
    reorder_point numeric,
    barcode       text,
    active        boolean NOT NULL DEFAULT true,
    external_id   text,
    version       integer NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL DEFAULT now(),
    search_name   text NOT NULL GENERATED ALWAYS AS (lower(name)) STORED,
    CONSTRAINT products_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT products_code_key UNIQUE (tenant_id, code),
    CONSTRAINT products_barcode_key UNIQUE (tenant_id, barcode),
    CONSTRAINT products_external_id_key UNIQUE (tenant_id, external_id),
    CONSTRAINT products_unit FOREIGN KEY (tenant_id, unit_id) REFERENCES units (tenant_id, id),
    CONSTRAINT products_category FOREIGN KEY (tenant_id, category_id) REFERENCES categories (tenant_id, id),
    CONSTRAINT products_kind_check CHECK (kind IN ('stocked', 'service')),
    CONSTRAINT products_sale_price_check CHECK (sale_price >= 0 AND sale_price < 'Infinity'),
    CONSTRAINT products_reorder_point_check CHECK (reorder_point >= 0 AND reorder_point < 'Infinity'),
    CONSTRAINT products_reorder_is_stocked CHECK (reorder_point IS NULL OR kind = 'stocked')
);
CREATE INDEX products_by_created ON products (tenant_id, created_at, id);
CREATE INDEX products_by_name ON products (tenant_id, name, id);
CREATE INDEX products_search_name ON products (tenant_id, search_name text_pattern_ops);
CREATE INDEX products_search_code ON products (tenant_id, code text_pattern_ops);
CREATE INDEX products_by_category ON products (tenant_id, category_id, id);

-- One of the unit is numerator / denominator of the product's own unit, exactly.
CREATE TABLE product_units (
    tenant_id   uuid NOT NULL,
    product_id  uuid NOT NULL,
    unit_id     uuid NOT NULL,
    numerator   bigint NOT NULL,
    denominator bigint NOT NULL,
    CONSTRAINT product_units_pkey PRIMARY KEY (tenant_id, product_id, unit_id),
    CONSTRAINT product_units_product FOREIGN KEY (tenant_id, product_id) REFERENCES products (tenant_id, id),
    CONSTRAINT product_units_unit FOREIGN KEY (tenant_id, unit_id) REFERENCES units (tenant_id, id),
    CONSTRAINT product_units_ratio_check CHECK (numerator > 0 AND denominator > 0)
);
