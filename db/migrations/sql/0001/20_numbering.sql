-- Document numbers. A row per tenant, series and year; the row is locked when a document is posted.

CREATE TABLE number_series (
    tenant_id   uuid NOT NULL,
    series      text NOT NULL,
    year        integer NOT NULL,
    prefix      text NOT NULL,
    last_number bigint NOT NULL,
    CONSTRAINT number_series_pkey PRIMARY KEY (tenant_id, series, year),
    CONSTRAINT number_series_last_number_check CHECK (last_number >= 0),
    CONSTRAINT number_series_year_check CHECK (year BETWEEN 1 AND 9999)
) WITH (fillfactor = 50);  -- every posting updates its row: room for the new version on the same page

-- Numbers given up with a reason; the number audit counts them as used.
CREATE TABLE number_voids (
    tenant_id  uuid NOT NULL,
    series     text NOT NULL,
    year       integer NOT NULL,
    number     bigint NOT NULL,
    reason     text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT number_voids_pkey PRIMARY KEY (tenant_id, series, year, number),
    CONSTRAINT number_voids_series_fkey FOREIGN KEY (tenant_id, series, year) REFERENCES number_series,
    CONSTRAINT number_voids_number_check CHECK (number > 0),
    CONSTRAINT number_voids_reason_check CHECK (reason <> '')
);
