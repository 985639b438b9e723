-- Customers and suppliers.

CREATE TABLE parties (
    tenant_id          uuid NOT NULL,
    id                 uuid NOT NULL,
    code               text NOT NULL,
    name               text NOT NULL,
    is_customer        boolean NOT NULL,
    is_supplier        boolean NOT NULL,
    email              text,
    phone              text,
    tax_id             text,
    country            text,
    payment_terms_days integer NOT NULL,
    credit_limit       numeric,
    addresses          jsonb NOT NULL DEFAULT '[]',
    contacts           jsonb NOT NULL DEFAULT '[]',
    active             boolean NOT NULL DEFAULT true,
    external_id        text,
    version            integer NOT NULL DEFAULT 1,
    created_at         timestamptz NOT NULL DEFAULT now(),
    -- A column of its own: under row-level security lower(name) can be no index condition, a plain column can.
    search_name        text NOT NULL GENERATED ALWAYS AS (lower(name)) STORED,
    CONSTRAINT parties_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT parties_code_key UNIQUE (tenant_id, code),
    CONSTRAINT parties_external_id_key UNIQUE (tenant_id, external_id),
    CONSTRAINT parties_role_check CHECK (is_customer OR is_supplier),
    CONSTRAINT parties_payment_terms_check CHECK (payment_terms_days BETWEEN 0 AND 3650),
    CONSTRAINT parties_credit_limit_check CHECK (credit_limit >= 0 AND credit_limit < 'Infinity')
);
CREATE INDEX parties_by_created ON parties (tenant_id, created_at, id);
CREATE INDEX parties_by_name ON parties (tenant_id, name, id);
CREATE INDEX parties_search_name ON parties (tenant_id, search_name text_pattern_ops);
CREATE INDEX parties_search_code ON parties (tenant_id, code text_pattern_ops);
