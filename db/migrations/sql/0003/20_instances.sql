-- The lead of the fleet: offered to somebody when it is handed over, and remembered term by term.

-- Until `offered_until` only `offered_to` may take a vacant lead (null: anybody), and not `withheld_from`. Whoever
-- takes it ends the offer; a release that does not know of offers takes it all the same, which does no harm.
ALTER TABLE leases
    ADD COLUMN offered_to text,
    ADD COLUMN withheld_from text,
    ADD COLUMN offered_until timestamptz;

-- One row a term and name. `ended`: expired (not renewed in time), stopped (its holder ended), drained, transferred.
CREATE TABLE lease_terms (
    id         uuid NOT NULL DEFAULT gen_random_uuid(),
    name       text NOT NULL,
    term       bigint NOT NULL,
    holder     text NOT NULL,
    since      timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at   timestamptz,
    ended      text,
    ended_by   text,
    reason     text,
    CONSTRAINT lease_terms_pkey PRIMARY KEY (id),
    CONSTRAINT lease_terms_ended_check CHECK (ended IN ('expired', 'stopped', 'drained', 'transferred')),
    CONSTRAINT lease_terms_ended_at_check CHECK ((ended IS NULL) = (ended_at IS NULL))
);
CREATE INDEX lease_terms_by_since ON lease_terms (name, since, id);
CREATE INDEX lease_terms_open ON lease_terms (name) WHERE ended_at IS NULL;

-- By trigger, so that no program of any release takes the lead without a trace. What ended the term before says
-- whoever ended it; of nobody who did, the time ran out.
CREATE FUNCTION leases_to_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE public.lease_terms
    SET ended_at = CASE WHEN TG_OP = 'UPDATE' THEN OLD.expires_at ELSE NEW.since END, ended = 'expired'
    WHERE name = NEW.name AND ended_at IS NULL;
    INSERT INTO public.lease_terms (name, term, holder, since) VALUES (NEW.name, NEW.term, NEW.holder, NEW.since);
    RETURN NULL;
END $$;
CREATE TRIGGER leases_begun AFTER INSERT ON leases FOR EACH ROW EXECUTE FUNCTION leases_to_terms();
CREATE TRIGGER leases_taken AFTER UPDATE ON leases FOR EACH ROW
    WHEN (OLD.term IS DISTINCT FROM NEW.term) EXECUTE FUNCTION leases_to_terms();

-- The term that is under way when this is installed.
INSERT INTO lease_terms (name, term, holder, since) SELECT name, term, holder, since FROM leases;

GRANT SELECT, INSERT, UPDATE ON lease_terms TO erp_app, erp_platform;
