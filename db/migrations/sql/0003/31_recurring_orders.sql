-- Sales orders that come again: a template, its schedule, and what became of each of its slots.
CREATE TABLE recurring_orders (
    tenant_id   uuid NOT NULL,
    id          uuid NOT NULL,
    name        text NOT NULL,
    state       text NOT NULL DEFAULT 'active',
    party_id    uuid NOT NULL,
    schedule_id uuid NOT NULL,
    template    jsonb NOT NULL,
    confirm     boolean NOT NULL,
    when_short  text NOT NULL,
    ends_on     date,
    most_orders integer,
    made        integer NOT NULL DEFAULT 0,
    version     integer NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT recurring_orders_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT recurring_orders_name_key UNIQUE (tenant_id, name),
    CONSTRAINT recurring_orders_schedule_key UNIQUE (tenant_id, schedule_id),
    CONSTRAINT recurring_orders_party FOREIGN KEY (tenant_id, party_id) REFERENCES parties (tenant_id, id),
    CONSTRAINT recurring_orders_schedule FOREIGN KEY (tenant_id, schedule_id) REFERENCES schedules (tenant_id, id),
    CONSTRAINT recurring_orders_state_check CHECK (state IN ('active', 'paused', 'ended')),
    CONSTRAINT recurring_orders_when_short_check CHECK (when_short IN ('skip', 'backorder', 'draft')),
    CONSTRAINT recurring_orders_made_check CHECK (made >= 0 AND made <= most_orders)
);
CREATE INDEX recurring_orders_by_created ON recurring_orders (tenant_id, created_at, id);

-- A slot has one outcome, and an order comes of one slot.
CREATE TABLE recurring_order_runs (
    tenant_id          uuid NOT NULL,
    id                 uuid NOT NULL,
    recurring_order_id uuid NOT NULL,
    slot               timestamptz NOT NULL,
    outcome            text NOT NULL,
    order_id           uuid,
    code               text,
    detail             text,
    created_at         timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT recurring_order_runs_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT recurring_order_runs_slot_key UNIQUE (tenant_id, recurring_order_id, slot),
    CONSTRAINT recurring_order_runs_order_key UNIQUE (tenant_id, order_id),
    CONSTRAINT recurring_order_runs_template FOREIGN KEY (tenant_id, recurring_order_id)
        REFERENCES recurring_orders (tenant_id, id),
    CONSTRAINT recurring_order_runs_order FOREIGN KEY (tenant_id, order_id) REFERENCES sales_orders (tenant_id, id),
    CONSTRAINT recurring_order_runs_outcome_check CHECK (outcome IN ('ordered', 'skipped')),
    CONSTRAINT recurring_order_runs_made_check CHECK ((outcome = 'ordered') = (order_id IS NOT NULL))
);
CREATE INDEX recurring_order_runs_by_created
    ON recurring_order_runs (tenant_id, recurring_order_id, created_at, id);
