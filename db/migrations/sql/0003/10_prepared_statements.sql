-- A standby runs reads only: what writes or locks rows could never run there, and is most of what is listed.

CREATE OR REPLACE FUNCTION prepare_statements() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    one record;
    prepared integer := 0;
    standby CONSTANT boolean := pg_is_in_recovery();
BEGIN
    IF NOT standby THEN
        -- Commands look rows up by key: planning each time again would find the same plan.
        PERFORM set_config('plan_cache_mode', 'force_generic_plan', false);
    END IF;
    FOR one IN
        SELECT name, sql FROM prepared_statements
        WHERE NOT standby OR sql !~* '\m(insert into|update|delete from|for (no key update|key share|share))\M'
    LOOP
        BEGIN
            EXECUTE format('PREPARE %I AS %s', one.name, one.sql);
            prepared := prepared + 1;
        EXCEPTION WHEN OTHERS THEN
            -- A text of another release may not fit this schema; who asks for it by name is told it is missing.
            RAISE LOG 'statement % is not prepared: %', one.name, SQLERRM;
        END;
    END LOOP;
    RETURN prepared;
END $$;
