-- What is to be published is a row of its own, written with its event and deleted when it has been handed over.
-- `events` is written once from here on: marking an event as published copied its row and all of its index entries.

CREATE TABLE outbox (
    tenant_id    uuid NOT NULL,
    aggregate_id uuid NOT NULL,
    version      integer NOT NULL,
    position     bigint NOT NULL,
    CONSTRAINT outbox_pkey PRIMARY KEY (tenant_id, aggregate_id, version)
) WITH (
    -- A queue: nearly everything ever written is dead. Vacuumed by count, at full speed, and without giving pages
    -- back, which would lock the table and end queries on standbys.
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 20000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000, vacuum_truncate = false
);
CREATE INDEX outbox_by_position ON outbox (position);

-- By trigger, so that no program of any release can write an event that is never published. It runs as whoever
-- writes the event: row-level security holds for both rows.
CREATE FUNCTION events_to_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.outbox (tenant_id, aggregate_id, version, position)
    SELECT tenant_id, aggregate_id, version, position FROM added;
    RETURN NULL;
END $$;
CREATE TRIGGER events_to_outbox AFTER INSERT ON events
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION events_to_outbox();

CREATE FUNCTION events_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are written once'
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'events_are_immutable', TABLE = 'events';
END $$;
CREATE TRIGGER events_immutable BEFORE UPDATE OR DELETE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION events_refuse_change();

-- The trigger's creation has waited for every transaction that was writing events, so that none is in between.
-- The fence binds the owner too; it is lifted for this one statement, with the table locked.
ALTER TABLE events NO FORCE ROW LEVEL SECURITY;
INSERT INTO outbox (tenant_id, aggregate_id, version, position)
SELECT tenant_id, aggregate_id, version, position FROM events WHERE published_at IS NULL ORDER BY position;
ALTER TABLE events FORCE ROW LEVEL SECURITY;

-- With the column go the two indexes of unpublished events and the platform role's right to change it.
ALTER TABLE events DROP COLUMN published_at;
