-- The journal and the period of an entry, asked for in one query: each one costs as much as the rest of the trigger.
CREATE OR REPLACE FUNCTION journal_entry_place() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    kept   boolean;
    placed boolean;
BEGIN
    SELECT
        EXISTS (SELECT FROM public.journals j WHERE j.tenant_id = NEW.tenant_id AND j.code = NEW.journal),
        EXISTS (
            SELECT FROM public.periods p
            WHERE p.tenant_id = NEW.tenant_id AND p.id = NEW.period_id
                AND NEW.date BETWEEN p.start_date AND p.end_date AND p.state = 'open'
        )
    INTO kept, placed;
    IF NOT kept THEN
        RAISE EXCEPTION 'there is no journal %', NEW.journal
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'journal_entries_journal',
                  TABLE = 'journal_entries';
    END IF;
    IF NOT placed THEN
        RAISE EXCEPTION 'entry % of % lies outside its period or the period is closed', NEW.number, NEW.date
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_entries_open_period',
                  TABLE = 'journal_entries';
    END IF;
    RETURN NULL;
END $$;
