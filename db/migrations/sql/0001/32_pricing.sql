-- Tax groups and the rates that were, are and will be valid in them.

CREATE TABLE tax_groups (
    tenant_id   uuid NOT NULL,
    id          uuid NOT NULL,
    code        text NOT NULL,
    name        text NOT NULL,
    active      boolean NOT NULL DEFAULT true,
    external_id text,
    version     integer NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT tax_groups_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT tax_groups_code_key UNIQUE (tenant_id, code),
    CONSTRAINT tax_groups_external_id_key UNIQUE (tenant_id, external_id)
);
CREATE INDEX tax_groups_by_created ON tax_groups (tenant_id, created_at, id);

-- Both days count. Written under the group's row lock, which keeps the spans of a group apart.
CREATE TABLE tax_rates (
    tenant_id    uuid NOT NULL,
    tax_group_id uuid NOT NULL,
    valid_from   date NOT NULL,
    valid_to     date,
    rate         numeric NOT NULL,
    CONSTRAINT tax_rates_pkey PRIMARY KEY (tenant_id, tax_group_id, valid_from),
    CONSTRAINT tax_rates_group FOREIGN KEY (tenant_id, tax_group_id) REFERENCES tax_groups (tenant_id, id),
    CONSTRAINT tax_rates_span_check CHECK (valid_to >= valid_from),
    CONSTRAINT tax_rates_rate_check CHECK (rate >= 0 AND rate <= 100)
);

ALTER TABLE products ADD CONSTRAINT products_tax_group
    FOREIGN KEY (tenant_id, tax_group_id) REFERENCES tax_groups (tenant_id, id);
CREATE INDEX products_by_tax_group ON products (tenant_id, tax_group_id, id);
